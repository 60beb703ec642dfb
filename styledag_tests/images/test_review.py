"""A person's verdicts win over everything, and survive the file's being written anew."""

import codecs
import csv
from dataclasses import replace
from pathlib import Path

import pytest

from styledag.errors import StyleFileError
from styledag.images.curate import curate_images, curation_facts
from styledag.images.embedding import PixelEmbedder
from styledag.images.review import Review, read_review, write_review
from styledag.images.settings import CurationSettings
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.images.images import jpeg_image, noisy, plain

SETTINGS = CurationSettings(embedding="pixels")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("verdict,image\nkeep,a.png\ndrop,b.png\n,c.png\n", Review(("a.png",), ("b.png",))),
        ('\ufeffimage,note,verdict\r\na.png,"x, y",KEEP \r\n', Review(("a.png",))),
        ("verdict,image\ndrop,a.png\n,a.png\ndrop,a.png\n", Review((), ("a.png",))),
        ("verdict,image\n,\n", Review()),
        (
            '\ufeffverdict;image;now\r\nkeep;"a,b.png";kept\r\ndrop;c.png;\r\n',
            Review(("a,b.png",), ("c.png",)),
        ),
        ("verdict\timage\nkeep\ta.png\n", Review(("a.png",))),
    ],
)
def test_verdicts_are_read(text: str, expected: Review, tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_bytes(text.encode())
    assert read_review(path) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", r":1: the first line must name the columns verdict and image"),
        (b"verdict,file\nkeep,a\n", r":1: the first line must name"),
        (b"verdict,image\nmaybe,a.png\n", r":2: verdict 'maybe': write keep, drop or nothing"),
        (b"verdict,image\nkeep,\n", r":2: the line names no image"),
        (b"verdict,image\nkeep,a\ndrop,a\n", r":3: a is to be kept and dropped"),
        (b"verdict,image\nkeep,\xff\n", "no CSV in UTF-8"),
        (b'verdict,image\nkeep,"a\n', "no CSV in UTF-8"),
    ],
)
def test_a_mistake_is_named_with_its_line(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_bytes(content)
    with pytest.raises(StyleFileError, match=expected):
        read_review(path)


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StyleFileError, match="styledag show STYLE --review"):
        read_review(tmp_path / "no.csv")


def test_a_verdict_wins_over_lists_and_filters(workspace: Workspace) -> None:
    rows = [
        jpeg_image(noisy(0), "a.png", workspace),
        jpeg_image(noisy(1), "b.png", workspace),
        jpeg_image(plain("red", (64, 64)), "blank.png", workspace),
        jpeg_image(noisy(0), "copy-of-a.png", workspace, quality=60),
    ]
    settings = replace(SETTINGS, keep=("a.png",), drop=("http://images.test/b.png",))
    review = Review(("b.png", "blank.png", "nobody"), ("http://images.test/a.png",))
    jpegs = Manifest(tuple(rows))
    found = curate_images(jpegs, settings, workspace, embed=PixelEmbedder(), review=review)
    assert {row.origin.title for row in found.rows} == {"b.png", "blank.png", "copy-of-a.png"}
    assert [each.reason for each in found.rejected] == ["dropped_by_hand"]
    facts = curation_facts(found, jpegs, settings, review)
    assert facts["names_unmatched_first"] == ["nobody"]


def test_the_file_lists_all_images_and_keeps_the_verdicts(
    workspace: Workspace, tmp_path: Path
) -> None:
    rows = [jpeg_image(noisy(seed), f"{seed}.png", workspace) for seed in range(2)]
    rows.append(jpeg_image(plain("red", (64, 64)), "blank.png", workspace))
    curated = curate_images(Manifest(tuple(rows)), SETTINGS, workspace, embed=PixelEmbedder())
    path = tmp_path / "styles" / "review.csv"
    write_review(path, curated)
    assert read_review(path) == Review()
    with path.open(newline="") as file:
        assert [(row["image"][-9:], row["now"]) for row in csv.DictReader(file)] == [
            ("est/0.png", "kept"), ("est/1.png", "kept"), ("blank.png", "blank"),
        ]  # fmt: skip
    path.write_text(
        path.read_text().replace("\n,http://images.test/1", "\ndrop,http://images.test/1")
        + "keep,gone.png,,\n"
    )
    write_review(path, curated)
    assert read_review(path) == Review(("gone.png",), ("http://images.test/1.png",))
    assert len(path.read_text().splitlines()) == 5


def test_no_title_is_a_formula_and_a_spreadsheet_knows_the_encoding(
    workspace: Workspace, tmp_path: Path
) -> None:
    row = jpeg_image(noisy(0), "0.png", workspace)
    row = replace(row, origin=replace(row.origin, url="-größer.png", title="=1+1"))
    curated = curate_images(Manifest((row,)), SETTINGS, workspace, embed=PixelEmbedder())
    path = tmp_path / "review.csv"
    write_review(path, curated)
    assert path.read_bytes().startswith(codecs.BOM_UTF8)
    with path.open(encoding="utf-8-sig", newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["image"], line["title"]) == ("'-größer.png", "'=1+1")
    path.write_text(path.read_text("utf-8-sig").replace("\n,", "\nkeep,"), "utf-16")
    assert read_review(path) == Review(keep=("-größer.png",))
    write_review(path, curated)
    assert read_review(path) == Review(keep=("-größer.png",))
