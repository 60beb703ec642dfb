"""Which image formats are opened, and what the others are called when they are refused."""

from PIL import features

from styledag.errors import ImageError

_ALWAYS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")

_OPENED_MAGIC = {
    b"\x89PNG": "PNG",
    b"\xff\xd8": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}
_REFUSED_MAGIC = {
    b"%PDF": "PDF",
    b"8BPS": "PSD",
    b"\x00\x00\x01\x00": "ICO",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"DDS ": "DDS",
    b"icns": "ICNS",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "gzip",
    b"%!PS": "PostScript",
}
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_HEAD_BYTES = 1024


def opened_formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are opened; AVIF where Pillow has its decoder."""
    return (*_ALWAYS, "AVIF") if features.check("avif") else _ALWAYS


def refusal(content: bytes) -> ImageError:
    """Return why bytes that Pillow could not identify are refused, judged by how they begin.

    The reason is ``empty``, ``unsupported_format``, ``not_a_image``, or ``damaged`` where the
    bytes begin like a format that is opened.
    """
    if not content:
        return ImageError("empty", "there are no bytes")
    opened = _opened_name(content)
    if opened is not None:
        return ImageError("damaged", f"begins like {opened}, but its header cannot be read")
    for magic, name in _REFUSED_MAGIC.items():
        if content.startswith(magic):
            return _unsupported(name)
    if content[4:8] == b"ftyp":
        return _unsupported("HEIC" if content[8:12] in _HEIF_BRANDS else "an ISO media file")
    return _text_refusal(content)


def _opened_name(content: bytes) -> str | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:12] in (b"ftypavif", b"ftypavis") and "AVIF" in opened_formats():
        return "AVIF"
    return next((name for magic, name in _OPENED_MAGIC.items() if content.startswith(magic)), None)


def _text_refusal(content: bytes) -> ImageError:
    head = content[:_HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!")) and b"<svg" in head):
        return _unsupported("SVG")
    if head.startswith((b"<!doctype html", b"<html")) or b"<html" in head:
        return ImageError("not_a_image", "is an HTML page")
    return ImageError("not_a_image", f"begins with {content[:8].hex()}, like no image format")


def _unsupported(name: str) -> ImageError:
    return ImageError("unsupported_format", f"is {name}; opened are {', '.join(opened_formats())}")
