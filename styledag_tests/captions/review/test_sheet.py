"""What a person changes in a sheet becomes overrides, and nothing else does."""

import codecs
import csv
from dataclasses import replace
from pathlib import Path

import pytest

from styledag.captions.overrides import read_overrides
from styledag.captions.records import CaptionedImage
from styledag.captions.review.sheet import merge_overrides, read_changes, write_sheet
from styledag.captions.review.worst import ReviewedCaption
from styledag.errors import StyleFileError
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import HOSTILE, captioned_image

ODD = (
    "=1+1",
    "'=1+1",
    "'quoted'",
    "+1 up",
    "-5",
    "@home",
    "a,b",
    'a "b"',
    "שלום",
    "\U0001fae9",
    HOSTILE,
)


@pytest.fixture
def rows(workspace: Workspace) -> list[CaptionedImage]:
    return [captioned_image(workspace, number) for number in range(3)]


def reviewed(rows: list[CaptionedImage]) -> list[ReviewedCaption]:
    return [ReviewedCaption(row=row, similarity=0.25, repeats=1) for row in rows]


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def change(path: Path, *captions: str | None) -> None:
    """As a spreadsheet does: the captions in order, a line taken out for ``None``."""
    table = cells(path)
    kept = [
        {**row, "caption": caption}
        for row, caption in zip(table, captions, strict=True)
        if caption is not None
    ]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(kept)


def test_an_unchanged_sheet_changes_nothing(rows, tmp_path: Path) -> None:
    odd = [replace(rows[0], cleaned_caption=text.replace("\x00", "")) for text in ODD]
    for row in odd:
        write_sheet(reviewed([row, *rows[1:]]), tmp_path / "sheet.csv")
        assert read_changes(tmp_path / "sheet.csv") == {}


@pytest.mark.parametrize("formula", ["=1+1", "+1 up", "-5", "@home", "\tx"])
def test_no_cell_is_a_formula(rows, tmp_path: Path, formula: str) -> None:
    row = replace(rows[0], cleaned_caption=formula, raw_caption=formula)

    write_sheet(reviewed([row]), tmp_path / "sheet.csv")

    (written,) = cells(tmp_path / "sheet.csv")
    assert written["caption"] == written["raw_caption"] == f"'{formula}"


def test_only_changed_lines_become_overrides(rows, tmp_path: Path) -> None:
    sheet, overrides = tmp_path / "sheet.csv", tmp_path / "own" / "captions.csv"
    write_sheet(reviewed(rows), sheet)
    change(sheet, "a fox, asleep", None, "a number 2")

    changes = read_changes(sheet)
    merge_overrides(changes, overrides, rows)

    assert changes == {rows[0].image.origin.url: "a fox, asleep"}
    read = read_overrides(overrides)
    assert read.by_sha256([row.image for row in rows]) == {rows[0].key: "a fox, asleep"}


def test_odd_captions_come_back_word_for_word(rows, tmp_path: Path) -> None:
    sheet, overrides = tmp_path / "sheet.csv", tmp_path / "captions.csv"
    write_sheet(reviewed(rows), sheet)
    change(sheet, "'=SUM(A1)", "'quoted' \U0001fae9", "שלום, עולם")

    merge_overrides(read_changes(sheet), overrides, rows)

    read = read_overrides(overrides).by_sha256([row.image for row in rows])
    assert [read[row.key] for row in rows] == ["=SUM(A1)", "'quoted' \U0001fae9", "שלום, עולם"]


def test_an_image_that_shares_its_address_goes_by_its_content(rows, tmp_path: Path) -> None:
    origin = rows[1].image.origin
    rows[0] = replace(rows[0], image=replace(rows[0].image, origin=origin))
    write_sheet(reviewed(rows), tmp_path / "sheet.csv")

    names = [row["image"] for row in cells(tmp_path / "sheet.csv")]

    assert names == [rows[0].key, rows[1].key, rows[2].image.origin.url]


def test_other_lines_and_columns_of_the_overrides_stay(rows, tmp_path: Path) -> None:
    overrides = tmp_path / "captions.csv"
    overrides.write_text(
        "note,image,caption\nmine,0.png,a zero\nold,gone.png,a ghost\n", encoding="utf-8"
    )
    sheet = tmp_path / "sheet.csv"
    write_sheet(reviewed(rows), sheet)
    change(sheet, "a nought", "a one", "a number 2")

    merge_overrides(read_changes(sheet), overrides, rows)

    assert cells(overrides) == [
        {"note": "mine", "image": "0.png", "caption": "a nought"},
        {"note": "old", "image": "gone.png", "caption": "a ghost"},
        {"note": "", "image": rows[1].image.origin.url, "caption": "a one"},
    ]


def test_a_sheet_that_cannot_be_meant_is_named_by_line(rows, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    write_sheet(reviewed(rows), sheet)
    change(sheet, "a", "", "b")
    with pytest.raises(StyleFileError, match=r"sheet.csv:3: column caption is empty"):
        read_changes(sheet)
    sheet.write_text("image,caption\nx,y\n", encoding="utf-8")
    with pytest.raises(StyleFileError, match="column caption_before is missing"):
        read_changes(sheet)


def saved(path: Path, table: list[list[str]], *, encoding: str, delimiter: str) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(table)


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("utf-8-sig", ","), ("utf-8", ","), ("utf-8-sig", ";"), ("utf-16", "\t")],
)
def test_sheet_and_overrides_are_read_as_any_spreadsheet_saves_them(
    rows, tmp_path: Path, encoding: str, delimiter: str
) -> None:
    sheet, overrides = tmp_path / "sheet.csv", tmp_path / "captions.csv"
    write_sheet(reviewed(rows), sheet)
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.reader(file))
    table[1][1] = "größer, als er ist"
    table[2] = [""] * len(table[2])  # a line whose cells were emptied
    saved(sheet, [*table, [""] * 9], encoding=encoding, delimiter=delimiter)
    own = [["image", "caption", "note"], ["1.png ", "ä", ""], ["", "", ""]]
    saved(overrides, own, encoding=encoding, delimiter=delimiter)

    merge_overrides(read_changes(sheet), overrides, rows)

    with overrides.open(encoding=encoding, newline="") as file:
        written = list(csv.reader(file, delimiter=delimiter))
    assert written == [*own[:2], [rows[0].image.origin.url, "größer, als er ist", ""]]
    start = overrides.read_bytes()[:3]
    assert (start == codecs.BOM_UTF8) == (encoding == "utf-8-sig")


def test_a_name_with_blanks_around_it_is_the_image_still(rows, tmp_path: Path) -> None:
    sheet, overrides = tmp_path / "sheet.csv", tmp_path / "captions.csv"
    write_sheet(reviewed(rows), sheet)
    change(sheet, "a fox", "a number 1", "a number 2")
    sheet.write_text(sheet.read_text("utf-8-sig").replace(rows[0].image.origin.url, " 0.png "))
    overrides.write_text("image,caption\n0.png ,a dog\n")

    merge_overrides(read_changes(sheet), overrides, rows)

    assert cells(overrides) == [{"image": "0.png ", "caption": "a fox"}]


def test_a_changed_line_of_an_image_that_is_not_there_is_refused(rows, tmp_path: Path) -> None:
    sheet, overrides = tmp_path / "sheet.csv", tmp_path / "captions.csv"
    write_sheet(reviewed(rows), sheet)
    change(sheet, "a fox", "a number 1", "a number 2")
    sheet.write_text(sheet.read_text("utf-8-sig").replace(rows[0].image.origin.url, "typo.png"))

    with pytest.raises(StyleFileError, match=r"1 images that are not there, such as 'typo\.png'"):
        merge_overrides(read_changes(sheet), overrides, rows)

    assert not overrides.exists()
