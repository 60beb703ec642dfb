"""The version of an artifact: the sha256 of its content and nothing else."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

LOG_FOLDER = "log"
"""Folder in an artifact that tells how the build went; it has no part in the version."""
RECORD_FILE = "build.json"
"""File in an artifact that holds its :class:`~styledag.store.artifact.Build`."""


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
    if path.suffix != ".parquet":
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    from styledag.store.row_digest import digested_rows

    digest = hashlib.sha256()
    for chunk in digested_rows(path):
        digest.update(chunk)
    return digest.hexdigest()


def folder_digest(folder: Path) -> str:
    """Return the version that a folder's content has."""
    return content_version(
        {name: file_digest(path) for name, path in content_files(folder).items()}
    )
