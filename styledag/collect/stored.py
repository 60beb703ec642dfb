"""An image whose bytes are at hand already, as an archive or a dataset holds them."""

import hashlib
from dataclasses import dataclass

from styledag.collect.image_type import image_type, no_image
from styledag.collect.records import Origin, RawImage
from styledag.errors import FetchError
from styledag.store.workspace import Workspace


@dataclass(frozen=True)
class Content:
    """What an image's file holds.

    Attributes:
        content_type: Media type.
        sha256: Of its bytes, which are a blob.
        sha1: Of its bytes.
        size_bytes: How many these are.
    """

    content_type: str
    sha256: str
    sha1: str
    size_bytes: int

    def image(self, origin: Origin) -> RawImage:
        """Return the record of an image that was found somewhere."""
        return RawImage(
            origin=origin,
            sha256=self.sha256,
            sha1=self.sha1,
            size_bytes=self.size_bytes,
            content_type=self.content_type,
        )


def stored_image(body: bytes, origin: Origin, workspace: Workspace, *, max_bytes: int) -> RawImage:
    """Keep an image's bytes and return its record.

    Args:
        body: All of the image, or more than ``max_bytes`` of it.
        origin: Where it was found.
        workspace: Where the bytes go.
        max_bytes: Most bytes of an image.

    Raises:
        FetchError: ``too_large``, ``not_an_image`` or ``unsupported_format``.
    """
    if len(body) > max_bytes:
        raise FetchError("too_large", f"more than the {max_bytes} bytes allowed")
    content_type = image_type(body)
    if not content_type:
        raise no_image(body)
    return kept_content(body, content_type, workspace).image(origin)


def kept_content(body: bytes, content_type: str, workspace: Workspace) -> Content:
    """Keep the bytes of an image of a known type; counted as a download if they are new."""
    sha256 = hashlib.sha256(body).hexdigest()
    if not workspace.blobs.has(sha256):
        workspace.blobs.put(body)
        workspace.work["downloads"] += 1
    sha1 = hashlib.sha1(body, usedforsecurity=False).hexdigest()
    return Content(content_type, sha256, sha1, len(body))
