"""A person's CSV is read as the spreadsheet of any country writes it."""

import io

import pytest

from styledag.edited_csv import edited_csv


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_first_line_says_what_divides_cells(delimiter: str) -> None:
    lines = [["image", "caption"], ["a.png", '"red, green; blue\tand so on"']]
    text = "\r\n".join(delimiter.join(line) for line in lines)
    (row,) = edited_csv(io.StringIO(text, newline=""))
    assert row == {"image": "a.png", "caption": "red, green; blue\tand so on"}


def test_an_empty_file_has_no_columns() -> None:
    assert edited_csv(io.StringIO("")).fieldnames is None
