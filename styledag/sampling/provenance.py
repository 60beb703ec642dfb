"""PNG that says itself what it was asked for and which model drew it."""

import io
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from styledag.sampling.marking import mark_png
from styledag.sampling.png_texts import texts_of

PREFIX = "styledag."


def png_with_provenance(image: Image.Image, provenance: Mapping[str, str]) -> bytes:
    """Return an image as PNG with ``styledag.<name>`` text chunks."""
    chunks = PngInfo()
    for name, text in sorted(provenance.items()):
        chunks.add_itxt(f"{PREFIX}{name}", text)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def with_provenance(png: bytes, provenance: Mapping[str, str]) -> bytes:
    """Return a PNG of generated images, marked as such, with ``styledag.<name>`` text chunks."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        return mark_png(png_with_provenance(image, provenance))


def read_provenance(png: bytes) -> Mapping[str, str]:
    """Return what :func:`png_with_provenance` wrote; empty for any other PNG.

    Raises:
        StyledagError: If the content is no PNG.
    """
    return {name.removeprefix(PREFIX): text for name, text in texts_of(png, PREFIX)}
