"""Captions as trainers write them: text files beside images, and tables of a folder's files.

The tables are those of ``datasets``' ImageFolder: columns ``file_name``, relative to the table,
and ``text``.
"""

import codecs
import csv
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from styledag.manifest import Rejection

SIDECARS = (".txt", ".caption", ".json")
TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
MOST_SIDECAR_BYTES = 100_000
_FILE, _TEXTS = "file_name", ("text", "caption")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def leads_out(path: Path, root: Path) -> bool:
    """Return whether a file is a link to somewhere outside a folder.

    Args:
        path: A file whose folders below ``root`` are no links.
        root: The folder.
    """
    return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())


class FolderCaptions:
    """The captions below a folder; what of them cannot be read is remembered."""

    def __init__(self, root: Path, files: Collection[Path]) -> None:
        self._root = root
        self._files = files
        self._stems: set[Path] = set()
        self._sidecars: dict[tuple[Path, str], Path] = {}
        for path in sorted(files):
            suffix = path.suffix.lower()
            if suffix in SIDECARS:
                self._sidecars.setdefault((path.with_suffix(""), suffix), path)
            else:
                self._stems.add(path.with_suffix(""))
        self._problems: list[tuple[Path, str, str]] = []

    def is_metadata(self, path: Path) -> bool:
        """Return whether a file is a table of captions."""
        return path.name in TABLES

    def is_sidecar(self, path: Path) -> bool:
        """Return whether a file is named like the caption of another one here."""
        stem = path.with_suffix("")
        return path.suffix.lower() in SIDECARS and (stem in self._stems or stem in self._files)

    def of(self, image: Path) -> str:
        """Return an image's caption as it is written, without the blanks around it; or empty."""
        for suffix in SIDECARS:
            for named in (image.with_suffix(""), image):
                sidecar = self._sidecars.get((named, suffix), image)
                text = "" if sidecar == image else self._sidecar(sidecar)
                # A downloader's .json may say other things; an empty text is meant.
                if text or (sidecar != image and suffix != ".json"):
                    return text
        return self._listed.get(image, "")

    def rejected(self, name: Callable[[Path], str]) -> list[Rejection]:
        """Return what could not be read so far, and table rows whose files are not there.

        Args:
            name: Returns the name by which a path is counted.
        """
        missing = [
            (path, "file_missing", "a table of captions names it, but it is not there")
            for path in self._listed
            if path not in self._files
        ]
        problems = dict.fromkeys((*self._problems, *missing))
        return [
            Rejection(subject=name(path), reason=reason, detail=detail)
            for path, reason, detail in problems
        ]

    def _sidecar(self, path: Path) -> str:
        try:
            if leads_out(path, self._root):
                raise ValueError("it is a link that leads out of the folder")
            if path.stat().st_size > MOST_SIDECAR_BYTES:
                raise ValueError(f"it has more than {MOST_SIDECAR_BYTES} bytes")
            text = _decoded(path.read_bytes()).strip()
            return _caption_in(json.loads(text)) if path.suffix.lower() == ".json" else text
        except (OSError, ValueError, RecursionError) as exc:
            self._problems.append((path, "sidecar_refused", str(exc)))
            return ""

    @cached_property
    def _listed(self) -> dict[Path, str]:
        """Captions by file, of all tables; the first that names a file counts."""
        listed: dict[Path, str] = {}
        for path in sorted(path for path in self._files if self.is_metadata(path)):
            try:
                for number, row in enumerate(_READERS[path.suffix](path), start=1):
                    self._add(path, number, row, listed)
            except (OSError, ValueError, csv.Error, pa.ArrowException, RecursionError) as exc:
                self._problems.append((path, "metadata_refused", str(exc).partition("\n")[0]))
        return listed

    def _add(self, table: Path, number: int, row: Any, listed: dict[Path, str]) -> None:
        try:
            name, text = _named_text(row)
        except ValueError as exc:
            self._problems.append((table, "metadata_refused", f"row {number}: {exc}"))
        else:
            listed.setdefault(table.parent / name, text)


def _named_text(row: Any) -> tuple[PurePosixPath, str]:
    """Return the file that a table's row is about, relative to the table, and its caption.

    Raises:
        ValueError: If the row names no file in the table's folder, or its text is no Unicode.
    """
    name = row.get(_FILE) if isinstance(row, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ValueError(
            f"it is no JSON or has no {_FILE}" if row is None else f"it has no {_FILE}"
        )
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leads out of the folder")
    _check_unicode(name)
    return path, _caption_in(row)


def _caption_in(fields: Any) -> str:
    """Return the caption that a table's row, or the object of a JSON file, states.

    Raises:
        ValueError: If it is no Unicode.
    """
    found = fields if isinstance(fields, Mapping) else {}
    text: str = next((found[key] for key in _TEXTS if isinstance(found.get(key), str)), "")
    _check_unicode(text)
    return text.strip()


def _check_unicode(text: str) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("it holds half of a surrogate pair")


def _json_lines(path: Path) -> Iterable[Any]:
    for line in _decoded(path.read_bytes()).split("\n"):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield row


def _csv_rows(path: Path) -> Iterable[Any]:
    return csv.DictReader(StringIO(_decoded(path.read_bytes()), newline=""), strict=True)


def _parquet_rows(path: Path) -> Iterable[Any]:
    with pq.ParquetFile(path) as table:
        wanted = [name for name in (_FILE, *_TEXTS) if name in table.schema_arrow.names]
        rows: list[Any] = table.read(columns=wanted).to_pylist()
        return rows


_READERS: Mapping[str, Callable[[Path], Iterable[Any]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}


def _decoded(content: bytes) -> str:
    """Return text in UTF-8, or in UTF-16 where a byte-order mark states it.

    Raises:
        ValueError: If it is neither.
    """
    try:
        return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ValueError(
            f"byte {exc.start} is no {exc.encoding.upper()}: save it as UTF-8"
        ) from exc
