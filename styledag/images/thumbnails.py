"""Small images of JPEG blobs, made once and kept."""

import PIL
from PIL import Image

from styledag.images.encode import encode_jpeg
from styledag.images.stored_jpeg import stored_jpeg
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

THUMBNAIL_PX = 64

_NAMESPACE = "thumbnail"
_QUALITY = 70


def thumbnail(sha256: str, workspace: Workspace) -> bytes:
    """Return a JPEG of at most 64 by 64 pixels of an image (``work["thumbnails"]``)."""
    key = item_key(jpeg=sha256, size_px=THUMBNAIL_PX, quality=_QUALITY, pillow=PIL.__version__)
    content = workspace.items.get(_NAMESPACE, key)
    if not content:
        content = _shrunk(sha256, workspace)
        workspace.work["thumbnails"] += 1
        workspace.items.put(_NAMESPACE, key, content)
    return content


def _shrunk(sha256: str, workspace: Workspace) -> bytes:
    with stored_jpeg(workspace.blobs, sha256) as image:
        image.draft("RGB", (2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    return encode_jpeg(small, quality=_QUALITY)
