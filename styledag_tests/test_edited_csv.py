"""A person's CSV is read as the spreadsheet of any country writes it."""

import io
from pathlib import Path

import pytest

from styledag.edited_csv import edited_csv, opened_text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_first_line_says_what_divides_cells(delimiter: str) -> None:
    lines = [["image", "caption"], ["a.png", '"red, green; blue\tand so on"']]
    text = "\r\n".join(delimiter.join(line) for line in lines)
    (row,) = edited_csv(io.StringIO(text, newline=""))
    assert row == {"image": "a.png", "caption": "red, green; blue\tand so on"}


def test_an_empty_file_has_no_columns() -> None:
    assert edited_csv(io.StringIO("")).fieldnames is None


def test_emptied_lines_and_cells_behind_the_columns_are_left_out() -> None:
    text = "image,caption\n,\na.png,red,,\n , \nb.png,blue,green\nc.png\n"
    rows = list(edited_csv(io.StringIO(text, newline="")))
    assert rows == [
        {"image": "a.png", "caption": "red"},
        {"image": "b.png", "caption": "blue", None: ["green"]},
        {"image": "c.png", "caption": None},
    ]


@pytest.mark.parametrize("line", ["sep=;\r\n", "SEP=;\n"])
def test_excels_own_line_says_what_divides_cells_and_is_no_row(line: str) -> None:
    text = f"{line}image;caption\r\na.png;red, green, blue, and so on\r\n"
    (row,) = edited_csv(io.StringIO(text, newline=""))
    assert row == {"image": "a.png", "caption": "red, green, blue, and so on"}


def test_a_cell_may_be_as_long_as_a_coded_image() -> None:
    long = "x" * 300_000
    (row,) = edited_csv(io.StringIO(f"image,bytes\na.png,{long}\n", newline=""))
    assert row == {"image": "a.png", "bytes": long}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_text_is_read_in_the_encoding_that_its_mark_states(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("größer", encoding=encoding)
    with opened_text(path) as file:
        assert file.read() == "größer"
