"""Thumbnails of artifacts: at most 60 KB each."""

import io
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

from PIL import Image, ImageOps

from styledag.dataset.read import read_dataset
from styledag.errors import ImageError
from styledag.images.converting.decode import decode_image
from styledag.manifest import KEPT, read_rows
from styledag.sampling.marking import mark_of
from styledag.small_jpeg import thumbnail_jpeg
from styledag.store.artifact import Artifact
from styledag.store.blobs import Blobs

_MAX_BYTES = 60_000
_MAX_PIXELS = 25_000_000
_COLUMNS, _SHOWN, _CELL_PX = 8, 24, 96


def first_images(
    row_type: type[Any], sha256_of: Callable[[Any], str]
) -> Callable[[Artifact], bytes | None]:
    """Return a preview that shows the first images of a manifest."""

    def preview(artifact: Artifact) -> bytes | None:
        blobs = Blobs(artifact.files)
        rows = read_rows(artifact.folder / KEPT, row_type, most=_SHOWN)
        return _mosaic(blobs.read(sha256_of(row)) for row in rows)

    return preview


def dataset_images(artifact: Artifact) -> bytes | None:
    """Return the first images of a dataset."""
    return _mosaic(row.jpeg for row in islice(read_dataset(artifact.folder), _SHOWN))


def image_of(pattern: str) -> Callable[[Artifact], bytes | None]:
    """Return a preview that shows the first image that matches, made small.

    A GIF that is small enough is shown as it is; of a larger one, the frame in its middle.
    """

    def preview(artifact: Artifact) -> bytes | None:
        path = min(artifact.folder.glob(pattern), default=None)
        if path is None:
            return None
        content = path.read_bytes()
        if path.suffix == ".gif" and len(content) <= _MAX_BYTES:
            return content
        with Image.open(io.BytesIO(content)) as image:
            image.seek(getattr(image, "n_frames", 1) // 2)
            return thumbnail_jpeg(image, _MAX_BYTES, xmp=mark_of(content))

    return preview


def _mosaic(images: Iterable[bytes]) -> bytes | None:
    cells = []
    for image in images:
        # A source's own images are shown before any stage has looked at them.
        with suppress(ImageError):
            decoded = decode_image(image, background="#ffffff", max_pixels=_MAX_PIXELS).image
            cells.append(ImageOps.pad(decoded, (_CELL_PX, _CELL_PX), color="white"))
    if not cells:
        return None
    rows = -(-len(cells) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _CELL_PX, rows * _CELL_PX), "white")
    for place, cell in enumerate(cells):
        sheet.paste(cell, (place % _COLUMNS * _CELL_PX, place // _COLUMNS * _CELL_PX))
    return thumbnail_jpeg(sheet, _MAX_BYTES)
