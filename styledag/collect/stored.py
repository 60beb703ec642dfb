"""An image whose bytes are at hand already, as an archive or a dataset holds them."""

import hashlib

from styledag.collect.image_type import image_type, no_image
from styledag.collect.records import Origin, RawImage
from styledag.errors import FetchError
from styledag.store.workspace import Workspace


def stored_image(body: bytes, origin: Origin, workspace: Workspace, *, max_bytes: int) -> RawImage:
    """Keep an image's bytes and return its record.

    Args:
        body: All of the image, or more than ``max_bytes`` of it.
        origin: Where it was found.
        workspace: Where the bytes go; counted as a download if they are new.
        max_bytes: Most bytes of an image.

    Raises:
        FetchError: ``too_large``, ``not_an_image`` or ``unsupported_format``.
    """
    if len(body) > max_bytes:
        raise FetchError("too_large", f"more than the {max_bytes} bytes allowed")
    content_type = image_type(body)
    if not content_type:
        raise no_image(body)
    return kept_image(body, content_type, origin, workspace)


def kept_image(body: bytes, content_type: str, origin: Origin, workspace: Workspace) -> RawImage:
    """Keep the bytes of an image of a known type, and return its record."""
    sha256 = hashlib.sha256(body).hexdigest()
    if not workspace.blobs.has(sha256):
        workspace.blobs.put(body)
        workspace.work["downloads"] += 1
    return RawImage(
        origin=origin,
        sha256=sha256,
        sha1=hashlib.sha1(body, usedforsecurity=False).hexdigest(),
        size_bytes=len(body),
        content_type=content_type,
    )
