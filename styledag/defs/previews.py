"""Thumbnails of artifacts for the web UI: at most 60 KB each."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from styledag.manifest import Manifest
from styledag.pictures import thumbnail_jpeg
from styledag.store.artifact import Artifact
from styledag.store.blobs import Blobs

_COLUMNS, _ROWS, _CELL_PX = 8, 3, 96


def first_pictures(
    row_type: type[Any], sha256_of: Callable[[Any], str]
) -> Callable[[Artifact], bytes | None]:
    """Return a preview that shows the first pictures of a manifest.

    Args:
        row_type: What its rows are.
        sha256_of: Gives the blob of a row's JPEG.
    """

    def preview(artifact: Artifact) -> bytes | None:
        rows = Manifest.read(artifact.folder, row_type).rows[: _COLUMNS * _ROWS]
        blobs = Blobs(artifact.files)
        return _mosaic([blobs.read(sha256_of(row)) for row in rows]) if rows else None

    return preview


def picture_of(name: str) -> Callable[[Artifact], bytes | None]:
    """Return a preview that shows one picture of an artifact, made small."""

    def preview(artifact: Artifact) -> bytes | None:
        path = artifact.folder / name
        if not path.is_file():
            return None
        with Image.open(path) as image:
            return thumbnail_jpeg(image)

    return preview


def _mosaic(jpegs: Sequence[bytes]) -> bytes:
    rows = -(-len(jpegs) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _CELL_PX, rows * _CELL_PX), "white")
    for place, jpeg in enumerate(jpegs):
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            cell = image.resize((_CELL_PX, _CELL_PX), Image.Resampling.LANCZOS)
        sheet.paste(cell, (place % _COLUMNS * _CELL_PX, place // _COLUMNS * _CELL_PX))
    return thumbnail_jpeg(sheet)
