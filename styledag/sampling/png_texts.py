"""Texts of a PNG by their keyword, without reading what else is in the file.

Pillow reads all texts of a PNG or none: it gives up a file in which any other program's text, such
as a workflow of ComfyUI, is larger than it allows.
"""

import zlib
from collections.abc import Iterator

from styledag.errors import StyledagError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND"
_MOST_BYTES = 1 << 20


def texts_of(png: bytes, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield keyword and text of each text chunk whose keyword begins so, in the file's order.

    A file that is cut off is read as far as it goes, and what is behind its end is left alone.

    Args:
        png: A PNG file.
        prefix: Of the keywords.

    Raises:
        StyledagError: If the content is no PNG.
    """
    if not png.startswith(SIGNATURE):
        raise StyledagError("this content is no PNG")
    at = len(SIGNATURE)
    while at + 8 <= len(png) and png[at + 4 : at + 8] != _END:
        length = int.from_bytes(png[at : at + 4], "big")
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        keyword, zero, _ = data[:80].partition(b"\0")
        if kind in _READERS and zero and keyword.startswith(prefix.encode("latin-1")):
            text = _READERS[kind](data[len(keyword) + 1 :])
            if text is not None:
                yield keyword.decode("latin-1"), text
        at += 12 + length


def _text(data: bytes) -> str | None:
    return data.decode("latin-1")


def _compressed(data: bytes) -> str | None:
    inflated = _inflated(data[1:])
    return None if inflated is None else inflated.decode("latin-1")


def _international(data: bytes) -> str | None:
    is_compressed, language = data[:1] == b"\1", data[2:]
    text: bytes | None = language.partition(b"\0")[2].partition(b"\0")[2]
    if is_compressed:
        text = _inflated(text or b"")
    return None if text is None else text.decode("utf-8", errors="replace")


def _inflated(data: bytes) -> bytes | None:
    """Return what was compressed; ``None`` if it is broken or far too large for a text of ours."""
    try:
        inflate = zlib.decompressobj()
        inflated = inflate.decompress(data, _MOST_BYTES)
    except zlib.error:
        return None
    return inflated if inflate.eof else None


_READERS = {b"tEXt": _text, b"zTXt": _compressed, b"iTXt": _international}
