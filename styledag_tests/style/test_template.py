"""New style files: sound as they are, for every base that has a template."""

from pathlib import Path

import pytest

from styledag.errors import StyleFileError
from styledag.style.load import load_style
from styledag.style.template import USUAL_IMAGES, base_names, write_new_style
from styledag_tests.bases.families import tiny_families

BASES = {
    template: base for each in tiny_families().values() for template, base in each.templates.items()
}


def test_every_template_is_known_to_the_tests() -> None:
    assert set(base_names()) == BASES.keys()


@pytest.mark.parametrize("base", BASES)
def test_a_new_style_is_sound_and_never_overwrites(tmp_path: Path, base: str) -> None:
    path = write_new_style("hiroshige", tmp_path, base=base)
    style = load_style(path)
    assert style.base.model == BASES[base]
    assert {source.type for source in style.sources} == {"mediawiki"}
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(StyleFileError, match="already"):
        write_new_style("hiroshige", tmp_path, base=base)
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("base", BASES)
def test_the_sources_that_a_new_style_comments_out_are_sound_too(tmp_path: Path, base: str) -> None:
    path = write_new_style("hiroshige", tmp_path, base=base)
    text = path.read_text(encoding="utf-8")
    commented = text.replace("  # - type", "  - type").replace("  #   ", "    ")
    path.write_text(commented, encoding="utf-8")
    assert [source.type for source in load_style(path).sources] == ["mediawiki", "html", "folder"]


@pytest.mark.parametrize("base", BASES)
def test_a_source_that_was_found_is_the_only_one(tmp_path: Path, base: str) -> None:
    source = {"type": "mediawiki", "api": "https://wiki.example.org/api.php", "pages": ["狐: #1"]}
    remarks = ("Two lines:", "  of remarks")
    path = write_new_style("fox", tmp_path, base=base, source=source, remarks=remarks)
    [found] = load_style(path).sources
    assert found.type == "mediawiki"
    assert found.pages == ("狐: #1",)
    assert "  # Two lines:\n  #   of remarks\n  - type: mediawiki\n" in path.read_text("utf-8")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("images", [40, 400, 1300, 100_000])
def test_every_run_sees_as_many_images_in_all_and_keeps_as_many_checkpoints(
    tmp_path: Path, base: str, images: int
) -> None:
    usual = load_style(write_new_style("usual", tmp_path, base=base))
    style = load_style(write_new_style("mine", tmp_path, base=base, images=images))
    for name, recipe in style.recipes.items():
        before = usual.recipes[name]
        assert len(recipe.snapshot_epochs) == len(before.snapshot_epochs)
        assert recipe.learning_rate == before.learning_rate
        seen, wanted = recipe.epochs * images, before.epochs * USUAL_IMAGES
        # A whole number of epochs between two checkpoints, and one epoch at the least.
        step = len(recipe.snapshot_epochs) * images
        assert abs(seen - wanted) <= max(step / 2, step - wanted)


def test_the_starters_style_trains_and_draws_at_the_starters_size(tmp_path: Path) -> None:
    style = load_style(write_new_style("mine", tmp_path, base="starter"))
    assert style.images.size_px == 64
    assert style.captions.captioner.model == "data/starter/blip"
    assert style.scores.scorer.model == "data/starter/clip"


@pytest.mark.parametrize(("name", "base"), [("No Name!", "sd15"), ("mine", "sd99")])
def test_a_bad_name_and_an_unknown_base_are_refused_and_write_nothing(
    tmp_path: Path, name: str, base: str
) -> None:
    with pytest.raises(
        StyleFileError,
        match=rf"such as .no-name|choose that of its family .{', '.join(base_names())}",
    ):
        write_new_style(name, tmp_path, base=base)
    assert not list(tmp_path.iterdir())
