"""CSVs that a person edits: spreadsheets divide cells by commas, semicolons or tabs."""

import codecs
import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

SURPLUS = (
    "it has more cells than the first line has names: put texts that hold the sign between cells "
    "in double quotes"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_STATED = re.compile(r"\ufeff?sep=([^\r\n])[\r\n]*", re.IGNORECASE)
_MOST_CELL_CHARS = 50_000_000

if TYPE_CHECKING:
    _DictReader = csv.DictReader[str]
else:
    _DictReader = csv.DictReader  # generic to a type checker alone


def encoding_of(start: bytes) -> str:
    """Return the encoding of a text by its first bytes: UTF-8, or UTF-16 if a mark states it."""
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def opened_text(path: Path) -> TextIO:
    """Return a text file, open at its beginning, in UTF-8 or, if its mark states it, UTF-16."""
    with path.open("rb") as file:
        encoding = encoding_of(file.read(2))
    return path.open(encoding=encoding, newline="")


class _EditedRows(_DictReader):
    """Leaves out what a spreadsheet writes for lines and columns that a person has emptied."""

    def __next__(self) -> dict[str | Any, str | Any]:
        while True:
            row = super().__next__()
            if None in row and not any(cell.strip() for cell in row[None]):
                del row[None]
            if any(cell.strip() if isinstance(cell, str) else cell for cell in row.values()):
                return row


def edited_csv(file: TextIO, delimiters: str = ",;\t") -> "csv.DictReader[str]":
    """Return a reader of the rows, divided by whichever delimiter the first line has most of.

    Excel's own first line, such as ``sep=;``, decides where there is one. Rows without any text,
    and empty cells behind the columns, are left out.

    Args:
        file: Open at its beginning, with ``newline=""``.
        delimiters: Those that may divide its cells, the likeliest first.
    """
    # The process's own limit of 131,072 is below a column of embeddings or of coded images.
    csv.field_size_limit(_MOST_CELL_CHARS)
    first = file.readline()
    stated = _STATED.fullmatch(first)
    if stated is None:
        file.seek(0)
    delimiter = max(delimiters, key=first.count) if stated is None else stated[1]
    return _EditedRows(file, delimiter=delimiter, strict=True)


def shown_cell(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula: with an apostrophe in front."""
    return f"'{cell}" if cell.startswith(("'", *_FORMULA)) else cell


def meant_cell(cell: str) -> str:
    """Return a cell without the apostrophe of :func:`shown_cell`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(("'", *_FORMULA)) else cell
