"""From an address to a sheet of images, in the commands of somebody new."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from styledag.cli.main import cli
from styledag.errors import ArtifactMissingError, StyleFileError
from styledag_tests.collect.wikis import Category, WikiData, WikiFile, serving_wiki
from styledag_tests.images.images import noisy, saved
from styledag_tests.whole.small_project import make_project

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, starter: Path) -> Call:
    root = make_project(tmp_path, starter, "http://127.0.0.1:1").root
    (root / "data" / "starter").symlink_to(starter)

    def called(*arguments: str) -> Result:
        result = CliRunner().invoke(cli, ["--project", str(root), *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return called


def foxes() -> WikiData:
    names = [f"Fox {at}.png" for at in range(6)]
    files = {
        name: WikiFile(
            body=saved(noisy(at, (64, 48))), text="== Licensing ==\n{{CC0}}" if at else ""
        )
        for at, name in enumerate(names)
    }
    files["Broken.png"] = WikiFile(body=b"\x89PNG\r\n\x1a\nno")
    return WikiData(files=files, categories={"Foxes": Category(files=tuple(files))}, limit=50)


@pytest.mark.slow
def test_a_wiki_becomes_a_sheet_in_three_commands(call: Call, tmp_path: Path) -> None:
    with serving_wiki(foxes()) as site:
        made = call("new", "fox", "--base", "starter", "--from", f"{site.url}/wiki/Category:Foxes")
        assert "styledag run fox --to curated_images" in made.output
        with pytest.raises(ArtifactMissingError, match="raw_images"):
            call("show", "fox")
        run = call("run", "fox", "--to", "curated_images")
        assert "7 of 7 kept" in run.output
        assert "styledag show fox curated_images" in run.output
        assert "nothing changed" in call("run", "fox", "--to", "curated_images").output
        assert "raw_images" not in call("run", "fox", "--only", "jpeg_images").output
    shown = call("show", "fox").output
    assert "jpeg_images: 6 of 7 kept" in shown
    assert "1 damaged" in shown
    assert "Broken.png: begins like PNG" in shown
    assert "licence CC0: 5" in shown
    sheet = tmp_path / shown.partition("contact sheet: ")[2].strip()
    assert sheet.read_text("utf-8").count("<figure") == 6
    states = json.loads(call("status", "fox", "--json").output)["fox"]
    assert {row["asset"] for row in states if row["state"] == "current"} == {
        "raw_images", "jpeg_images", "curated_images",
    }  # fmt: skip


def test_raw_images_are_shown_with_what_each_list_gave(call: Call, tmp_path: Path) -> None:
    with serving_wiki(foxes()) as site:
        call("new", "fox", "--base", "starter", "--from", f"{site.url}/wiki/Category:Foxes")
        call("run", "fox", "--to", "raw_images")
    shown = call("show", "fox", "raw_images").output
    assert "Category:Foxes: 7 files, 0 pages, 0 subcategories" in shown
    assert "2 images have no licence and 7 no author" in shown
    assert "contact sheet: data/sheets/fox.raw_images.html" in shown
    page = (tmp_path / "data" / "sheets" / "fox.raw_images.html").read_text("utf-8")
    assert page.count("<figure") == 7
    assert "Cannot be decoded" in page
    assert "licence: CC0" in page


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--to", "raw_images", "--only", "raw_images"), "not both"),
        (("--only", "checkpoint"), "--only ema_unet"),
    ],
)
def test_what_cannot_be_run_is_refused(
    call: Call, arguments: tuple[str, ...], expected: str
) -> None:
    result = call("run", "small", *arguments)
    assert result.exit_code == 2
    assert expected in result.output


def test_an_unknown_asset_and_an_unknown_style_are_named(call: Call) -> None:
    with pytest.raises(StyleFileError, match="no asset 'xyz'; valid are style, raw_images"):
        call("run", "small", "--to", "xyz")
    with pytest.raises(StyleFileError, match="no style 'nix'"):
        call("show", "nix")


def test_a_name_that_means_no_image_is_shown(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, seed in ((" a.png", 1), ("b.png", 2)):
        (folder / name).write_bytes(saved(noisy(seed, (64, 48))))
    call("new", "fox", "--base", "starter", "--from", "images")
    style = tmp_path / "data" / "styles" / "fox.yaml"
    text = style.read_text("utf-8")
    style.write_text(text.replace("curation:", "curation:\n  review: review.csv"), "utf-8")
    (tmp_path / "review.csv").write_text("verdict,image\ndrop, a.png\nkeep,c.png\n", "utf-8")
    call("run", "fox", "--to", "curated_images")
    shown = call("show", "fox").output
    assert "curated_images: 1 of 2 kept" in shown
    assert "1 names in keep, drop or the review mean no image, such as 'c.png'" in " ".join(
        shown.split()
    )
