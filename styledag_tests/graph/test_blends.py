"""Blends by their partition keys, and which of them a recipe has."""

from pathlib import Path

import pytest

from styledag.errors import StyleFileError
from styledag.graph.blends import Blend, blends_of, mixed_with
from styledag.graph.names import Partition
from styledag.style.load import load_style
from styledag_tests.style.test_load import POWER, SOUND, write


@pytest.mark.parametrize(
    ("blend", "key", "name"),
    [
        (Blend(weight=0.25), "0.25", "weight 0.25"),
        (Blend(), "1.00", "weight 1.00"),
        (Blend(length=0.15), "ema-0.150", "length 0.150"),
        (Blend(length=0.075), "ema-0.075", "length 0.075"),
        (Blend(mixed="both"), "both", "blend both"),
    ],
)
def test_a_key_names_its_blend(blend: Blend, key: str, name: str) -> None:
    assert blend.key == key
    assert Blend.parse(key) == blend
    assert blend.name == name


@pytest.mark.parametrize("key", ["Half", "ema-1.5", "ema-0.1234", "e016", "a-b", ""])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(StyleFileError, match="is no blend"):
        Blend.parse(key)


def test_only_a_recipe_that_keeps_power_averages_has_lengths(tmp_path: Path) -> None:
    two = POWER.replace("  full:", "  plain: {}\n  full:") + "[0.08, 0.15], weights: [0.0, 1.0]}\n"
    style = load_style(write(tmp_path, two))
    assert [each.key for each in blends_of(style, Partition("mine", "plain"))] == ["0.00", "1.00"]
    assert [each.key for each in blends_of(style, Partition("mine", "full"))] == [
        "0.00",
        "1.00",
        "ema-0.080",
        "ema-0.150",
    ]


MIXED = """\
blends:
  weights: [1.0]
  mixed:
    both: {mine.full: 0.3, other.full: 0.7}
    own: {mine.plain: 0.5, mine.full: 0.5}
    others: {a.full: 0.5, b.full: 0.5}
"""


def test_a_mixed_blend_belongs_to_the_last_recipe_that_is_in_it(tmp_path: Path) -> None:
    two = SOUND.replace("  full:", "  plain: {}\n  full:") + MIXED
    style = load_style(write(tmp_path, two))
    plain, full = Partition("mine", "plain"), Partition("mine", "full")
    assert [each.key for each in blends_of(style, plain)] == ["1.00"]
    assert [each.key for each in blends_of(style, full)] == ["1.00", "both", "own"]
    assert mixed_with(style, full.of("both")) == [Partition("other", "full")]
    assert mixed_with(style, full.of("own")) == [plain]
    assert mixed_with(style, full.of("1.00")) == []


@pytest.mark.parametrize(
    ("mixed", "why"),
    [
        ("{e16: {a.b: 0.5, c.d: 0.5}}", "'e16', which is no blend's name"),
        ("{A-b: {a.b: 0.5, c.d: 0.5}}", "'A-b', which is no blend's name"),
        ("{both: {a.b: 0.5}}", "needs two models or more"),
        (
            "{both: {a: 0.5, c.d: 0.5}}",
            "'a': name a model as STYLE.RECIPE, or one of blends.foreign, which has none",
        ),
        ("{both: {a.b: 0.0, c.d: 0.5}}", "is 0.0, but must be 0 to 1"),
        ("{both: {a.b: 0.6, c.d: 0.5}}", "sum to more than 1"),
        ("{both: {a.b: 0.5, c.d: 0.5}}, method: slerp", "method slerp merges one"),
    ],
)
def test_a_mixed_blend_that_cannot_be_meant_is_refused(
    tmp_path: Path, mixed: str, why: str
) -> None:
    text = f"{SOUND}blends: {{mixed: {mixed}}}\n"
    with pytest.raises(StyleFileError, match=why):
        load_style(write(tmp_path, text))
