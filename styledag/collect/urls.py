"""A list of images' addresses: CSV, TSV, JSON lines, Parquet, or one address a line."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from styledag.collect.harvest import Find, Harvest, take_images
from styledag.collect.records import Origin
from styledag.collect.settings import UrlsSource
from styledag.collect.web.addresses import parts_of
from styledag.collect.web.client import Client
from styledag.collect.web.links import absolute_url
from styledag.collect.web.signatures import without_signature
from styledag.collect.written_texts import cell_text
from styledag.edited_csv import SURPLUS, edited_csv, opened_text
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

Row = Mapping[str, Any]

_BETWEEN = re.compile(r"(?:\s*[,;|]\s*|\s+)(?=https?://)", re.IGNORECASE)
"""Divides addresses in one cell; inside of one, a second scheme stands behind other signs."""


def collect_urls(source: UrlsSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images of a list.

    Raises:
        SourceError: If the list cannot be read, has no column of addresses, or names no image.
    """
    finds, rejected = listed_images(source, project)
    notes = [f"{source.path}: column {name!r} is not read" for name in _unread(source, project)]
    hosts = {parts_of(find.origin.url).hostname or "" for find in finds}
    # A secret goes to the one host that a list is about, and nowhere if it is about several.
    own = hosts if len(hosts) == 1 else ()
    with Client(source.fetch, workspace, hosts=own, project=project) as client:
        harvest = take_images(finds, client, workspace)
    return Harvest(harvest.images, (*rejected, *harvest.rejected), notes=tuple(notes))


def listed_images(source: UrlsSource, project: Path) -> tuple[list[Find], list[Rejection]]:
    """Return the images that a list names, and its rows without an address.

    Raises:
        SourceError: As for :func:`collect_urls`.
    """
    finds: list[Find] = []
    rejected: list[Rejection] = []
    for at, row in enumerate(_rows(source, project / source.path), start=1):
        subject = f"{source.path}: row {at}"
        if None in row:
            rejected.append(Rejection(subject=subject, reason="row_refused", detail=SURPLUS))
            continue
        try:
            found = [_find(source, url, row) for url in _addresses(row, source.url)]
        except ValueError as exc:
            raise SourceError(f"{subject}: {exc}") from exc
        if not found:
            rejected.append(Rejection(subject=subject, reason="no_url", detail="its url is empty"))
        finds += found
    if not finds:
        raise SourceError(f"no image found: {source.path} names no address")
    return finds, rejected


def _addresses(row: Row, column: str) -> list[str]:
    """Return the addresses in a cell: one, a list, or several divided as scrapers and shops do.

    Raises:
        ValueError: If it holds no text.
    """
    value = row.get(column)
    cells = value if isinstance(value, list | tuple) else [value]
    texts = (cell_text({column: each}, column) for each in cells)
    return [url for text in texts for url in _BETWEEN.split(text) if url]


def _unread(source: UrlsSource, project: Path) -> list[str]:
    """Return the columns of the first row, and so of most lists, that no setting names."""
    names = {getattr(source, key) for key in _CONTENTS}
    first: Row = next(_rows(source, project / source.path), {})
    return [str(name) for name in first if name is not None and name not in names]


_DEFAULTS = {each.name: each.default for each in fields(UrlsSource)}
_CONTENTS = {
    "url": "addresses",
    "caption": "captions",
    "title": "titles",
    "alt": "alternative texts",
    "page_url": "pages",
    "licence_column": "licences",
    "author_column": "authors",
}


def _find(source: UrlsSource, url: str, row: Row) -> Find:
    refusal = None
    try:
        url = absolute_url("", url)
    except FetchError as exc:
        refusal = exc
    lasting = without_signature(url)
    return Find(
        origin=Origin(
            url=lasting,
            page_url=cell_text(row, source.page_url),
            title=cell_text(row, source.title),
            alt=cell_text(row, source.alt),
            caption=cell_text(row, source.caption, in_lines=True),
            licence=cell_text(row, source.licence_column) or source.licence,
            author=cell_text(row, source.author_column) or source.author,
        ),
        refusal=refusal,
        signed_url="" if lasting == url else url,
    )


def _rows(source: UrlsSource, path: Path) -> Iterator[Row]:
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise SourceError(
            f"{source.path} ends in none of {', '.join(sorted(_READERS))}, by which its format is "
            "known"
        )
    is_checked = False
    try:
        for row in read(path):
            if not is_checked:
                _check_columns(source, row)
            is_checked = True
            yield row
    except UnicodeDecodeError as exc:
        raise SourceError(
            f"{source.path} is not {exc.encoding.upper()}: save it as UTF-8 (in Excel: CSV UTF-8)"
        ) from exc
    except (OSError, ValueError, pa.ArrowException) as exc:
        raise SourceError(f"{source.path} cannot be read: {exc}") from exc


def _check_columns(source: UrlsSource, row: Row) -> None:
    """Check that a list has a column of addresses, and those that the style file names."""
    names = [str(name) for name in row if name is not None]
    # JSON leaves out what a row has not.
    is_sparse = source.path.lower().endswith(".jsonl")
    for key, content in _CONTENTS.items():
        name = getattr(source, key)
        is_named = key == "url" or (name != _DEFAULTS[key] and not is_sparse)
        if is_named and name and name not in row:
            raise SourceError(
                f"{source.path} has no column {name!r}, only {', '.join(names)}: "
                f"name the one of {content} under {key} in the style file"
            )


def _csv(path: Path) -> Iterator[Row]:
    with opened_text(path) as file:
        yield from _table(edited_csv(file))


def _tsv(path: Path) -> Iterator[Row]:
    with opened_text(path) as file:
        yield from _table(edited_csv(file, "\t"))


def _table(reader: "csv.DictReader[str]") -> Iterator[Row]:
    try:
        yield from reader
    except csv.Error as exc:
        raise ValueError(
            f"line {reader.reader.line_num}: {exc}: put texts that hold quotes in double quotes, "
            "and double the quotes in them"
        ) from exc


def _json_lines(path: Path) -> Iterator[Row]:
    with opened_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as exc:
                raise ValueError(f"line {number} is not JSON: {exc}") from exc
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not an object with named fields")
            yield row


def _parquet(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1_024):
            yield from batch.to_pylist()


def _plain(path: Path) -> Iterator[Row]:
    with opened_text(path) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                yield {"url": line.strip()}


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
    ".txt": _plain,
}
