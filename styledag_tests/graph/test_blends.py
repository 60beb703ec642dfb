"""Blends by their partition keys, and which of them a recipe has."""

from pathlib import Path

import pytest

from styledag.errors import StyleFileError
from styledag.graph.blends import Blend, blends_of
from styledag.style.load import load_style
from styledag_tests.style.test_load import POWER, write


@pytest.mark.parametrize(
    ("blend", "key", "name"),
    [
        (Blend(weight=0.25), "0.25", "weight 0.25"),
        (Blend(), "1.00", "weight 1.00"),
        (Blend(length=0.15), "ema-0.150", "length 0.150"),
        (Blend(length=0.075), "ema-0.075", "length 0.075"),
    ],
)
def test_a_key_names_its_blend(blend: Blend, key: str, name: str) -> None:
    assert blend.key == key
    assert Blend.parse(key) == blend
    assert blend.name == name


@pytest.mark.parametrize("key", ["half", "ema", "ema-1.5", "ema-0.1234", ""])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(StyleFileError, match="is no blend"):
        Blend.parse(key)


def test_only_a_recipe_that_keeps_power_averages_has_lengths(tmp_path: Path) -> None:
    two = POWER.replace("  full:", "  plain: {}\n  full:") + "[0.08, 0.15], weights: [0.0, 1.0]}\n"
    style = load_style(write(tmp_path, two))
    assert [each.key for each in blends_of(style, "plain")] == ["0.00", "1.00"]
    assert [each.key for each in blends_of(style, "full")] == [
        "0.00",
        "1.00",
        "ema-0.080",
        "ema-0.150",
    ]
