"""The version of an artifact: the sha256 of its content and nothing else."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

LOG_FOLDER = "log"
"""Folder in an artifact that tells how the build went; it has no part in the version."""
RECORD_FILE = "build.json"
"""File in an artifact that holds its :class:`~styledag.store.artifact.Build`."""

_CHUNK_BYTES = 1 << 20
_BATCH_ROWS = 256


def content_files(folder: Path) -> Mapping[str, Path]:
    """Return the files that count as content, by their POSIX path inside the folder."""
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    return {
        name: files[name]
        for name in sorted(files)
        if name != RECORD_FILE and not name.startswith(f"{LOG_FOLDER}/")
    }


def content_version(digests: Mapping[str, str]) -> str:
    """Return the version of an artifact whose files have these digests."""
    listing = json.dumps(dict(sorted(digests.items())), separators=(",", ":"))
    return hashlib.sha256(listing.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's content.

    A Parquet file is digested by its rows, since two writers of the same rows differ in bytes;
    columns that its schema names under ``styledag.volatile`` are left out.
    """
    digest = hashlib.sha256()
    chunks = _parquet_rows(path) if path.suffix == ".parquet" else _chunks(path)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def folder_digest(folder: Path) -> str:
    """Return the version that a folder's content has."""
    return content_version(
        {name: file_digest(path) for name, path in content_files(folder).items()}
    )


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _parquet_rows(path: Path) -> Iterator[bytes]:
    with pq.ParquetFile(path) as file:
        stated = (file.schema_arrow.metadata or {}).get(b"styledag.volatile", b"").decode()
        volatile = set(stated.split(","))
        columns = [name for name in file.schema_arrow.names if name not in volatile]
        yield json.dumps(columns).encode()
        encoder = json.JSONEncoder(sort_keys=True, default=_jsonable)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                yield encoder.encode(row).encode()


def _jsonable(value: Any) -> str:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return str(value)
