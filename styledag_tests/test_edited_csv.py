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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_text_is_read_in_the_encoding_that_its_mark_states(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("größer", encoding=encoding)
    with opened_text(path) as file:
        assert file.read() == "größer"
