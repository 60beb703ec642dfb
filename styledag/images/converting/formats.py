"""Which image formats are opened, and what the others are called when they are refused."""

from importlib import import_module
from importlib.util import find_spec

from PIL import features

from styledag.errors import ImageError
from styledag.images.containers.jp2 import SIGNATURE
from styledag.images.containers.tiff import refused_tiff

EXTRA = "styledag[formats]"
"""What is installed to open the formats that Pillow itself does not."""
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
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "a bare codestream of JPEG 2000",
    b"DDS ": "DDS",
    b"icns": "ICNS",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "gzip",
    b"%!PS": "PostScript",
}
_JXL_MAGIC = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_JPEG_2000 = "JPEG2000"
_OF_PILLOW = {"AVIF": "avif", _JPEG_2000: "jpg_2000"}
_OPTIONAL = {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}
_NAMES = {"HEIF": "HEIC", "JXL": "JPEG XL"}
_HEAD_BYTES = 1024


def opened_formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are opened.

    AVIF and JPEG 2000 are where Pillow has their decoders, HEIC and JPEG XL where their packages
    are installed.
    """
    own = (name for name, feature in _OF_PILLOW.items() if features.check(feature))
    return (*_ALWAYS, *own, *(name for name, module in _OPTIONAL.items() if find_spec(module)))


def formats_for(content: bytes) -> tuple[str, ...]:
    """Return the formats that Pillow is to try some bytes as.

    One of the optional packages' is among them, and its package imported, only if the bytes begin
    like it: Pillow knows no format whose package is not imported.
    """
    # Pillow would open a bare codestream of JPEG 2000 too, which does not say what it shows.
    unusual = {*_OPTIONAL, *(() if content.startswith(SIGNATURE) else (_JPEG_2000,))}
    usual = tuple(name for name in opened_formats() if name not in unusual)
    name = _optional_name(content)
    if name is None or not find_spec(_OPTIONAL[name]):
        return usual
    module = import_module(_OPTIONAL[name])
    if name == "HEIF":
        module.register_heif_opener()
    return (*usual, name)


def refusal(content: bytes) -> ImageError:
    """Return why bytes that Pillow could not identify are refused, judged by how they begin.

    The reason is ``empty``, ``unsupported_format``, ``not_an_image``, or ``damaged`` where the
    bytes begin like a format that is opened.
    """
    if not content:
        return ImageError("empty", "there are no bytes")
    optional = _optional_name(content)
    if optional is not None and not find_spec(_OPTIONAL[optional]):
        name = _NAMES[optional]
        return ImageError("unsupported_format", f"is {name}: install {EXTRA} to open it")
    opened = optional or _opened_name(content)
    if opened == "TIFF":
        return refused_tiff(content) or _damaged(opened)
    if opened is not None:
        return _damaged(opened)
    for magic, name in _REFUSED_MAGIC.items():
        if content.startswith(magic):
            return _unsupported(name)
    if content[4:8] == b"ftyp":
        return _unsupported("an ISO media file")
    return _text_refusal(content)


def _optional_name(content: bytes) -> str | None:
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
        return None if b"avif" in content[16:64] else "HEIF"
    return "JXL" if content.startswith(_JXL_MAGIC) else None


def _damaged(name: str) -> ImageError:
    return ImageError("damaged", f"begins like {name}, but its header cannot be read")


def _opened_name(content: bytes) -> str | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content.startswith(SIGNATURE) and _JPEG_2000 in opened_formats():
        return "JPEG 2000"
    if content[4:12] in (b"ftypavif", b"ftypavis") and "AVIF" in opened_formats():
        return "AVIF"
    return next((name for magic, name in _OPENED_MAGIC.items() if content.startswith(magic)), None)


def _text_refusal(content: bytes) -> ImageError:
    head = content[:_HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!")) and b"<svg" in head):
        return _unsupported("SVG")
    if head.startswith((b"<!doctype html", b"<html")) or b"<html" in head:
        return ImageError("not_an_image", "is an HTML page")
    return ImageError("not_an_image", f"begins with {content[:8].hex()}, like no image format")


def _unsupported(name: str) -> ImageError:
    return ImageError("unsupported_format", f"is {name}; opened are {', '.join(opened_formats())}")
