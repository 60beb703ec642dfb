"""CSVs that a person edits: spreadsheets divide cells by commas, semicolons or tabs."""

import csv
from typing import TextIO

SURPLUS = (
    "it has more cells than the first line has names: put texts that hold the sign between cells "
    "in double quotes"
)
_DELIMITERS = ",;\t"


def edited_csv(file: TextIO) -> "csv.DictReader[str]":
    """Return a reader of the rows, divided by whichever delimiter the first line has most of.

    Args:
        file: Open at its beginning, with ``newline=""``.
    """
    first = file.readline()
    file.seek(0)
    return csv.DictReader(file, delimiter=max(_DELIMITERS, key=first.count), strict=True)
