"""What kind of image some bytes are, by how they begin."""

import re

from styledag.errors import FetchError

CODE_VERSION = "1"
"""Changes with what :func:`image_type` returns."""
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"II+\x00", "image/tiff"),
    (0, b"MM\x00+", "image/tiff"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    *((4, b"ftyp" + brand, "image/heic") for brand in (b"heic", b"heix", b"hevc", b"hevx")),
    *((4, b"ftyp" + brand, "image/heic") for brand in (b"heim", b"heis", b"hevm", b"hevs")),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypmsf1", "image/heif"),
    (0, b"\x00\x00\x00\x0cjP  ", "image/jp2"),
    (0, b"\x00\x00\x00\x0cJXL ", "image/jxl"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"),
)
_LETTERS = (
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
"""Beginnings that a text may have too: "BMW, red" is no image."""
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
"""Bytes that no text has (WHATWG MIME Sniffing standard, section 3)."""
_HEADER_BYTES = 64
_TEXT_HEAD_BYTES = 1_024
_BEFORE_MARKUP = b"\xef\xbb\xbf \t\r\n"


def image_type(body: bytes, declared: str = "") -> str:
    """Return the media type of an image, or an empty string if the bytes are none.

    Args:
        body: The bytes, or their first few hundred.
        declared: The ``Content-Type`` that came with them; believed for formats that are not
            known here, unless the bytes are plainly a page.
    """
    for at, magic, media_type in _MAGIC:
        if body[at : at + len(magic)] == magic:
            return media_type
    for magic, media_type in _LETTERS:
        if body.startswith(magic) and _BINARY.search(body[:_HEADER_BYTES]):
            return media_type
    media_type = declared.partition(";")[0].strip().lower()
    if media_type.startswith("image/") and body and not _is_page(body):
        return media_type
    return ""


def no_image(body: bytes) -> FetchError:
    """Return why a file is left out whose bytes are no image's.

    Args:
        body: The bytes, or their first few hundred.
    """
    head = body[:_TEXT_HEAD_BYTES].lstrip(_BEFORE_MARKUP).lower()
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!")) and b"<svg" in head):
        return FetchError("unsupported_format", "is a drawing in SVG: export it as PNG")
    return FetchError("not_an_image", "its content is no image's, whatever its name is")


def _is_page(body: bytes) -> bool:
    head = body[:512].lstrip(_BEFORE_MARKUP).lower()
    return head.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"{"))
