"""A list of images' addresses: CSV, TSV, JSON lines, Parquet, or one address a line."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from styledag.collect.harvest import Find, Harvest, take_images
from styledag.collect.records import Origin
from styledag.collect.settings import UrlsSource
from styledag.collect.sources import collects
from styledag.collect.web.client import Client
from styledag.collect.web.links import absolute_url
from styledag.collect.web.rendered_text import cell_text
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

Row = Mapping[str, Any]


@collects(UrlsSource)
def collect_urls(source: UrlsSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images of a list.

    Raises:
        SourceError: If the list cannot be read, has no column of addresses, or names no image.
    """
    finds, rejected = listed_images(source, project)
    hosts = {urlsplit(find.origin.url).hostname or "" for find in finds}
    # A secret goes to the one host that a list is about, and nowhere if it is about several.
    own = hosts if len(hosts) == 1 else ()
    with Client(source.fetch, workspace, hosts=own, project=project) as client:
        harvest = take_images(finds, client, workspace)
    return Harvest(harvest.images, (*rejected, *harvest.rejected))


def listed_images(source: UrlsSource, project: Path) -> tuple[list[Find], list[Rejection]]:
    """Return the images that a list names, and its rows without an address.

    Raises:
        SourceError: As for :func:`collect_urls`.
    """
    finds: list[Find] = []
    rejected: list[Rejection] = []
    for at, row in enumerate(_rows(source, project / source.path), start=1):
        url = cell_text(row, source.url)
        if url:
            finds.append(_find(source, url, row))
        else:
            subject = f"{source.path}: row {at}"
            rejected.append(Rejection(subject=subject, reason="no_url", detail="its url is empty"))
    if not finds:
        raise SourceError(f"no image found: {source.path} names no address")
    return finds, rejected


def _find(source: UrlsSource, url: str, row: Row) -> Find:
    refusal = None
    try:
        url = absolute_url("", url)
    except FetchError as exc:
        refusal = exc
    return Find(
        origin=Origin(
            url=url,
            page_url=cell_text(row, source.page_url),
            title=cell_text(row, source.title),
            alt=cell_text(row, source.alt),
            caption=cell_text(row, source.caption),
            licence=cell_text(row, source.licence_column) or source.licence,
            author=cell_text(row, source.author_column) or source.author,
        ),
        refusal=refusal,
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
            if not is_checked and source.url not in row:
                raise SourceError(
                    f"{source.path} has no column {source.url!r}, only {', '.join(map(str, row))}: "
                    "name the one of addresses under url in the style file"
                )
            is_checked = True
            yield row
    except (OSError, ValueError, csv.Error, pa.ArrowException) as exc:
        raise SourceError(f"{source.path} cannot be read: {exc}") from exc


def _delimited(delimiter: str) -> Callable[[Path], Iterator[Row]]:
    def read(path: Path) -> Iterator[Row]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file, delimiter=delimiter, strict=True)

    return read


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
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
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                yield {"url": line.strip()}


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _json_lines,
    ".parquet": _parquet,
    ".txt": _plain,
}
