"""The parts of an image file of any format."""

from styledag.images.containers.gif import gif_parts
from styledag.images.containers.jp2 import SIGNATURE as JP2_SIGNATURE
from styledag.images.containers.jp2 import jp2_parts
from styledag.images.containers.jpeg import jpeg_parts
from styledag.images.containers.parts import Parts
from styledag.images.containers.png import SIGNATURE, png_parts
from styledag.images.containers.webp import webp_parts


def file_parts(content: bytes) -> Parts | None:
    """Return the parts of a PNG, JPEG, JPEG 2000, WebP or GIF, and ``None`` for any other format.

    Raises:
        ImageError: If the format allows what no decoder here reads (``unsupported_mode``).
    """
    if content.startswith(SIGNATURE):
        return png_parts(content)
    if content.startswith(b"\xff\xd8"):
        return jpeg_parts(content)
    if content.startswith(JP2_SIGNATURE):
        return jp2_parts(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return webp_parts(content)
    if content.startswith((b"GIF87a", b"GIF89a")):
        return gif_parts(content)
    return None
