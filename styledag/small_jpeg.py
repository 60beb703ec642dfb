"""Small images for places that take few bytes, such as the web UI's metadata."""

import io

from PIL import Image

_SIDES_PX = (1024, 768, 640, 512, 384, 256, 192, 128, 96, 64)
_QUALITIES = (85, 70, 55)


def thumbnail_jpeg(image: Image.Image, max_bytes: int = 60_000, *, xmp: bytes = b"") -> bytes:
    """Return an image as a JPEG of at most ``max_bytes``, as large and as good as that allows.

    It is never enlarged. Transparency is shown on white.

    Args:
        image: Any mode; left as it is.
        max_bytes: Most bytes of the JPEG.
        xmp: Packet of metadata to put into it.

    Raises:
        ValueError: If not even an image of 64 px fits.
    """
    flat = _on_white(image)
    for side_px in _SIDES_PX:
        small = flat.copy()
        small.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        for quality in _QUALITIES:
            content = _jpeg(small, quality, xmp)
            if len(content) <= max_bytes:
                return content
    raise ValueError(f"an image of {min(_SIDES_PX)} px does not fit into {max_bytes} bytes")


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _jpeg(image: Image.Image, quality: int, xmp: bytes) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True, xmp=xmp)
    return buffer.getvalue()
