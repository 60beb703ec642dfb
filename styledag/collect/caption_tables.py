"""Tables of images and their captions, as ``datasets``' ImageFolder reads them.

They have the columns ``file_name``, relative to the table, and ``text``.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO, StringIO
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from styledag.collect.written_texts import decoded_text, text_of
from styledag.edited_csv import SURPLUS, edited_csv

TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_FILE, _TEXTS = "file_name", ("text", "caption")

NamedText = tuple[PurePosixPath, str]
"""A file relative to the table, and its caption."""


def read_table(name: str, content: bytes) -> Iterator[NamedText | ValueError]:
    """Yield each row's file and caption, or why the row cannot be meant.

    Args:
        name: One of :data:`TABLES`.
        content: The table's bytes.

    Raises:
        ValueError: If the table, or what is left of it, cannot be read.
    """
    try:
        for row in _READERS[PurePosixPath(name).suffix](content):
            try:
                named = _named_text(row)
            except ValueError as exc:
                yield exc
            else:
                yield named
    except (csv.Error, pa.ArrowException, OSError, RecursionError) as exc:
        raise ValueError(str(exc).partition("\n")[0]) from exc


def caption_in(fields: Any) -> str:
    """Return the caption that a table's row, or the object of a JSON file, states.

    Raises:
        ValueError: If it is no text.
    """
    found = fields if isinstance(fields, Mapping) else {}
    text = next((text for text in (text_of(found.get(key)) for key in _TEXTS) if text), "")
    _check_unicode(text)
    return text.strip()


def _named_text(row: Any) -> NamedText:
    name = row.get(_FILE) if isinstance(row, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ValueError(
            f"it is no JSON or has no {_FILE}" if row is None else f"it has no {_FILE}"
        )
    if None in row:
        raise ValueError(SURPLUS)
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leads out of the folder")
    _check_unicode(name)
    return path, caption_in(row)


def _check_unicode(text: str) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("it holds half of a surrogate pair")


def _json_lines(content: bytes) -> Iterable[Any]:
    for line in decoded_text(content).split("\n"):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield row


def _csv_rows(content: bytes) -> Iterable[Any]:
    return edited_csv(StringIO(decoded_text(content), newline=""))


def _parquet_rows(content: bytes) -> Iterable[Any]:
    with pq.ParquetFile(BytesIO(content)) as table:
        wanted = [name for name in (_FILE, *_TEXTS) if name in table.schema_arrow.names]
        rows: list[Any] = table.read(columns=wanted).to_pylist()
        return rows


_READERS: Mapping[str, Callable[[bytes], Iterable[Any]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
