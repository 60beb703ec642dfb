"""Tables of images and their captions, as ``datasets``' ImageFolder reads them.

They have the columns ``file_name``, relative to the table, and ``text``; other trainers call them
``image`` and ``prompt``.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from styledag.collect.written_texts import decoded_text, text_of
from styledag.edited_csv import SURPLUS, edited_csv
from styledag.errors import FetchError

TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_FILES = ("file_name", "image", "image_path", "filename")
_TEXTS = ("text", "caption")
_TEXTS_OF_ROWS = (*_TEXTS, "prompt")
_SHOWN_CHARS = 80
_DRIVE = re.compile("[A-Za-z]:/")

NamedText = tuple[PurePosixPath, str]
"""A file relative to the table, and its caption."""


def read_table(name: str, content: bytes) -> Iterator[NamedText | str]:
    """Yield each row's file and caption, or why the row, or what follows it, cannot be read.

    Args:
        name: One of :data:`TABLES`.
        content: The table's bytes.
    """
    number = 0
    try:
        for number, row in enumerate(_READERS[PurePosixPath(name).suffix](content), start=1):
            try:
                named: NamedText | str = _named_text(row)
            except ValueError as exc:
                named = f"row {number}: {exc}"
            yield named
    except (csv.Error, pa.ArrowException, OSError, RecursionError, ValueError) as exc:
        why = str(exc).partition("\n")[0]
        yield f"after row {number}: {why}" if number else why


def second_caption(text: str) -> FetchError:
    """Return why a row is left out that gives an image words beside those of an earlier row."""
    shown = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
    return FetchError(
        "second_caption",
        f"a table of captions names it again, as {shown!r}: the words of its first row count",
    )


def text_alone() -> FetchError:
    """Return why a text is left out that is called like no image."""
    return FetchError(
        "text_without_image",
        "no image here is called like it: the caption of fox.jpg is fox.txt in the same folder",
    )


def caption_in(fields: Any, keys: Sequence[str] = _TEXTS) -> str:
    """Return the caption that a table's row, or the object of a JSON file, states.

    Args:
        fields: The row or the object; anything else has no caption.
        keys: What a caption may be called, the likeliest first.

    Raises:
        ValueError: If it is no text.
    """
    found = fields if isinstance(fields, Mapping) else {}
    return next((text for text in (text_of(found.get(key)) for key in keys) if text), "").strip()


def _named_text(row: Any) -> NamedText:
    names = (row.get(key) for key in _FILES) if isinstance(row, Mapping) else iter(())
    name = text_of(next((each for each in names if each and isinstance(each, str)), ""))
    if not name:
        raise ValueError(
            "it is no JSON or has no file_name" if row is None else "it has no file_name"
        )
    if None in row:
        raise ValueError(SURPLUS)
    path = PurePosixPath(name.replace("\\", "/"))
    if _DRIVE.match(path.as_posix()):
        # A whole path on the machine that the table was made on.
        path = PurePosixPath(path.name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leads out of the folder")
    return path, caption_in(row, _TEXTS_OF_ROWS)


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
        wanted = [
            each.name
            for each in table.schema_arrow
            if each.name in _TEXTS_OF_ROWS or (each.name in _FILES and _is_text(each.type))
        ]
        rows: list[Any] = table.read(columns=wanted).to_pylist()
        return rows


def _is_text(kind: pa.DataType) -> bool:
    # A column of whole images is called image too.
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


_READERS: Mapping[str, Callable[[bytes], Iterable[Any]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
