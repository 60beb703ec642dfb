"""Style files: what is wrong is said with file, line, key and the nearest valid one."""

import json
import re
from pathlib import Path

import pytest

from styledag.errors import StyleFileError
from styledag.style.load import load_style, style_paths
from styledag.style.mistakes import PATTERNS
from styledag.style.model import style_schema

SOUND = """\
base: {model: data/starter/stable-diffusion}
sources:
  - type: folder
    path: images
images:
  size_px: 64
captions:
  captioner: {model: data/starter/blip}
recipes:
  full:
    epochs: 2
samples:
  prompts: [a cat, a dog]
scores:
  scorer: {model: data/starter/clip}
"""

FOLDER = "type: folder\n    path: images"
HTML = "type: html, start: [x], title: "


def write(tmp_path: Path, text: str, name: str = "cats") -> Path:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_sound_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    style = load_style(write(tmp_path, SOUND))
    assert style.images.size_px == 64
    assert style.recipes["full"].epochs == 2
    assert style.recipes["full"].ema.base_share == 0.2
    assert style.blends.weights == (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", True),
        ("    horizontal_flip: false\n", False),
        ("    horizontal_flip: false\n  other:\n    horizontal_flip: true\n", True),
    ],
)
def test_mirror_images_are_copies_where_any_recipe_flips(
    tmp_path: Path, more: str, expected: bool
) -> None:
    flips = SOUND.replace("    epochs: 2\n", f"    epochs: 2\n{more}")
    style = load_style(write(tmp_path, flips))
    assert style.curation.mirrored_copies is expected
    assert style.model_dump(mode="json")["curation"]["mirrored_copies"] is expected
    stated = load_style(write(tmp_path, f"{flips}curation: {{mirrored_copies: false}}\n"))
    assert stated.curation.mirrored_copies is False


@pytest.mark.parametrize(
    ("find", "replace", "line", "said"),
    [
        ("size_px: 64", "size: 64", 6, "images.size: unknown key; did you mean 'size_px'?"),
        ("epochs: 2", "epochs: 0", 11, "recipes.full.epochs: must be at least 1; found 0"),
        (
            "size_px: 64",
            'size_px: "64"',
            6,
            'expected a whole number, found "64": write 64, without quotes',
        ),
        ("size_px: 64", "size_px: 63", 6, "multiple of 8; found 63"),
        ("type: folder", "type: foldr", 3, "unknown type 'foldr'; did you mean 'folder'?"),
        ("    path: images", "    pth: images", 4, "unknown key; did you mean 'path'?"),
        ("  - type: folder\n    path", "  - path", 3, "this key is required, but missing: type"),
        (FOLDER, f"{HTML}[5]", 3, "sources.0.title: expected text, found [5]"),
        (FOLDER, f"{HTML}{{neer: figcaption}}", 3, "title.neer: unknown key; did you mean 'near'?"),
        (FOLDER, f"{HTML}{{}}", 3, "sources.0.title: name a selector under near"),
        (
            FOLDER,
            f"{HTML}h2, fetch: {{headers: {{A: 1}}}}",
            3,
            "headers.A: expected text, found 1: write '1', in quotes",
        ),
        (FOLDER, "type: urls, pth: x", 3, "pth: unknown key; did you mean 'path'?"),
        (
            FOLDER,
            "type: mediawiki, api: x",
            3,
            "sources.0: name categories, pages, files or search",
        ),
        ("scores:", "scorse:", 14, "scorse: unknown key; did you mean 'scores'?"),
        ("scores:", "publish: {licnce: x}\nscores:", 14, "key; did you mean 'licence'?"),
        (
            "scorer: {model: data/starter/clip}",
            "scorer: {model: c}\n  classifier: {model: j, label: x, prompts: [a cow]}",
            14,
            "classifier is asked about 'a cow', but samples.prompts has no such prompt",
        ),
        ("[a cat, a dog]", "[a cat]\n  seeds: [9223372036854775808]", 12, "more than 64 bits"),
        ("[a cat, a dog]", "[a cat, a cat]", 12, "prompts holds a value twice"),
        ("epochs: 2", "trained: unets", 11, "found \"unets\"; did you mean 'unet'?"),
        ("epochs: 2", "epochs: 2\n    epochs: 3", 12, "key 'epochs' is given twice"),
        ("epochs: 2", "epochs: [2", 12, "this is no YAML"),
        ("epochs: 2", "ema: {mode: none, decay: 0.5}", 11, "EMA mode 'none' has no decay"),
        ("full:", "Full:", 10, "recipes.Full: a recipe's name has small letters"),
        ("epochs: 2", "epochs: 2020-01-01", 11, 'a whole number, found "2020-01-01"'),
        ("epochs: 2", "horizontal_flip: yes", 11, 'expected true or false, found "yes"'),
        ("epochs: 2", "epochs: 1:30", 11, 'a whole number, found "1:30"'),
        ("epochs: 2", "epochs:", 11, "nothing is written there: give it a value, or leave"),
        ("diffusion}", "diffusion, revision: 0123456}", 1, "found 0123456: write '0123456', in"),
        ("[a cat, a dog]", "a cat", 13, 'expected a list, found "a cat": write ["a cat"]'),
        ("  full:\n    epochs: 2", "  epochs: 2", 10, "epochs belongs under a name"),
        ("  full:\n    epochs: 2", "  - epochs: 2", 9, "write a name before each"),
        ("scores:", "learning_rate: 1e-4\nscores:", 14, "it belongs under recipes.NAME"),
        ("scores:", "epochs: 2\nscores:", 14, "epochs: unknown key here; it belongs under rec"),
        (FOLDER, "type: html, start: [x], contact: y", 3, "belongs under sources.N.fetch"),
        ("  size_px: 64", "\tsize_px: 64", 6, "a tab stands there: indent by blanks"),
        ("  size_px: 64", "\u00a0size_px: 64", 6, "character U+00A0 is no plain blank"),
        ("samples:", "description: @x\nsamples:", 12, "put text that begins with @ in quotes"),
        ("samples:", "description: a: b\nsamples:", 12, "put text that contains ': ' in quotes"),
        ("samples:", "description: [a\nsamples:", 13, "in what begins in line 12; look for a"),
        ("samples:", "x: &a [*a]\nsamples:", 1, "an alias contains itself"),
        ("samples:", f"x: {'9' * 5000}\nsamples:", 12, "a number of 5000 digits"),
        ("samples:", "---\nsamples:", 12, "a style file is one document: take out the line"),
        ("samples:", "blends: {lengths: [0.08]}\nsamples:", 12, "no recipe has it (full): set it"),
        ("samples:", "blends: {lengths: [0.3]}\nsamples:", 12, "length 0.3 is not between 0 and"),
        ("samples:", "blends: {lengths: [0.1, 0.05]}\nsamples:", 12, "must rise, each once"),
        ("samples:", "blends: {method: tiess}\nsamples:", 12, "did you mean 'ties'?"),
        (
            "samples:",
            "blends: {method: {type: ties, densty: 1}}\nsamples:",
            12,
            "blends.method.densty: unknown key; did you mean 'density'?",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, find: str, replace: str, line: int, said: str) -> None:
    assert find in SOUND
    if find == FOLDER:
        replace = f"{{{replace}}}"
    path = write(tmp_path, SOUND.replace(find, replace))
    with pytest.raises(StyleFileError) as caught:
        load_style(path)
    assert f"{path}:{line}:" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("find", "replace"),
    [
        ("epochs: 2", "epochs: 02"),
        ("epochs: 2", "epochs: 0x2"),
        ("epochs: 2", "epochs: 2\n    learning_rate: 1e-4"),
        ("epochs: 2", "epochs: 2\n    horizontal_flip: False"),
        ("[a cat, a dog]", "[no, 12:30, 1_000, 2020-01-01, on, =]"),
    ],
)
def test_values_are_those_of_yaml_1_2(tmp_path: Path, find: str, replace: str) -> None:
    style = load_style(write(tmp_path, SOUND.replace(find, replace)))
    assert style.recipes["full"].epochs == 2
    assert style.recipes["full"].learning_rate == 1e-4
    assert style.recipes["full"].horizontal_flip is ("False" not in replace)
    if find.startswith("["):
        assert style.samples.prompts == ("no", "12:30", "1_000", "2020-01-01", "on", "=")


@pytest.mark.parametrize("content", [b"", b"# a style\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (path := tmp_path / "cats.yaml").write_bytes(content)
    with pytest.raises(StyleFileError, match=r"1: nothing is written in this file.*styledag new"):
        load_style(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (SOUND.encode("utf-16"), "cats.yaml:1: cannot be read: byte 0xFF is not UTF-8; save"),
        (
            SOUND.replace("a dog", "a né").encode("cp1252"),
            "cats.yaml:13: cannot be read: byte 0xE9",
        ),
    ],
)
def test_another_encoding_is_named_with_what_to_do(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (path := tmp_path / "cats.yaml").write_bytes(content)
    with pytest.raises(StyleFileError) as caught:
        load_style(path)
    assert said in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_every_pattern_of_a_setting_has_words() -> None:
    patterns = re.findall(r'"pattern": "([^"]*)"', style_schema())
    assert {json.loads(f'"{each}"') for each in patterns} <= set(PATTERNS)


POWER = SOUND.replace("epochs: 2", "epochs: 10\n    ema: {mode: power}") + "blends: {lengths: "


def test_lengths_are_read_where_a_recipe_keeps_their_averages(tmp_path: Path) -> None:
    style = load_style(write(tmp_path, POWER + "[0.08, 0.15]}\n"))
    assert style.blends.lengths == (0.08, 0.15)


def test_a_length_that_no_snapshots_can_give_is_refused_before_training(tmp_path: Path) -> None:
    path = write(tmp_path, POWER + "[0.01]}\n")
    with pytest.raises(StyleFileError, match=r"length 0\.01 cannot be reconstructed") as caught:
        load_style(path)
    assert f"{path}:17: blends: recipe 'full': " in str(caught.value)
    rarely = POWER.replace("epochs: 10", "epochs: 10\n    snapshot_every_epochs: 5")
    load_style(write(tmp_path, POWER + "[0.2]}\n"))
    with pytest.raises(StyleFileError, match="from 4 stored averages"):
        load_style(write(tmp_path, rarely + "[0.2]}\n"))


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = SOUND.replace("size_px: 64", "size: 64").replace("epochs: 2", "epochs: 0")
    with pytest.raises(StyleFileError) as caught:
        load_style(write(tmp_path, text))
    lines = [int(each.split(":")[1]) for each in str(caught.value).splitlines()]
    assert lines == [6, 11]


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(StyleFileError, match=r"cats\.yaml:1"):
        load_style(write(tmp_path, text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cats.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(StyleFileError, match="cannot be read"):
        load_style(path)


def test_a_name_that_is_no_styles_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StyleFileError, match=r"rename the file: .*, such as 'cats-dogs'"):
        load_style(write(tmp_path, SOUND, name="Cats, dogs"))


def test_styles_are_listed_by_name(tmp_path: Path) -> None:
    for name in ("dogs", "cats"):
        write(tmp_path, SOUND, name)
    assert list(style_paths(tmp_path)) == ["cats", "dogs"]
