"""The JPEGs of the store, opened."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from styledag.errors import StorageError
from styledag.store.blobs import Blobs

if TYPE_CHECKING:
    from PIL.Image import Image


@contextmanager
def stored_jpeg(blobs: Blobs, sha256: str) -> "Iterator[Image]":
    """Open a JPEG of the store, whose pixels are decoded in the block.

    Raises:
        StorageError: If it is missing or no longer the JPEG that was stored.
    """
    from PIL import Image, UnidentifiedImageError

    content = blobs.read(sha256)
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            yield image
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as exc:
        raise StorageError(
            f"blob {sha256} is no longer the JPEG that was stored ({exc}): remove it from the "
            "store and materialise jpeg_images again"
        ) from exc


def read_jpeg(blobs: Blobs, sha256: str) -> "Image":
    """Return a JPEG of the store as RGB; see :func:`stored_jpeg`."""
    with stored_jpeg(blobs, sha256) as image:
        return image.convert("RGB")
