"""A picture of any shape becomes a square."""

from typing import Literal

from PIL import Image, ImageColor

from styledag.errors import ImageError


def to_square(
    image: Image.Image,
    *,
    size_px: int,
    mode: Literal["pad", "crop"],
    upscale: bool,
    background: str,
) -> Image.Image:
    """Return the picture as a square, scaled by LANCZOS.

    Args:
        image: Mode RGB.
        size_px: Side of the square.
        mode: ``pad`` shows the whole picture in the middle of the background, ``crop`` fills the
            square with the middle of the picture.
        upscale: Whether a picture may be enlarged.
        background: Colour of the padding, ``#rrggbb``.

    Raises:
        ImageError: If the picture would have to be enlarged and must not (``below_size``).
    """
    decisive = max(image.size) if mode == "pad" else min(image.size)
    if decisive < size_px and not upscale:
        width, height = image.size
        raise ImageError(
            "below_size", f"is {width}x{height}, too small for {size_px} without enlarging"
        )
    if mode == "crop":
        return _cropped(image, size_px)
    return _padded(image, size_px, background)


def _cropped(image: Image.Image, size_px: int) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size_px, size_px), Image.Resampling.LANCZOS, box=box)


def _padded(image: Image.Image, size_px: int, background: str) -> Image.Image:
    scale = size_px / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    square = Image.new("RGB", (size_px, size_px), ImageColor.getrgb(background))
    scaled = image.resize((width, height), Image.Resampling.LANCZOS)
    square.paste(scaled, ((size_px - width) // 2, (size_px - height) // 2))
    return square
