"""An image of any shape becomes a square, or the shape of a bucket."""

from typing import Literal

from PIL import Image, ImageColor

from styledag.errors import ImageError
from styledag.images.containers.parts import Size


def to_square(
    image: Image.Image,
    *,
    size_px: int,
    mode: Literal["pad", "crop"],
    upscale: bool,
    background: str,
) -> Image.Image:
    """Return the image as a square, scaled by LANCZOS.

    Args:
        image: Mode RGB.
        size_px: Side of the square.
        mode: ``pad`` shows the whole image in the middle of the background, ``crop`` fills the
            square with the middle of the image.
        upscale: Whether an image may be enlarged.
        background: Colour of the padding, ``#rrggbb``.

    Raises:
        ImageError: If the image would have to be enlarged and must not (``below_size``).
    """
    decisive = max(image.size) if mode == "pad" else min(image.size)
    if decisive < size_px and not upscale:
        width, height = image.size
        raise ImageError(
            "below_size", f"is {width}x{height}, too small for {size_px} without enlarging"
        )
    if mode == "crop":
        return covered(image, (size_px, size_px))
    return _padded(image, size_px, background)


def to_bucket(image: Image.Image, bucket: tuple[int, int], *, upscale: bool) -> Image.Image:
    """Return the image in the shape of a bucket: scaled by LANCZOS, cropped as little as can be.

    Raises:
        ImageError: If the image would have to be enlarged and must not (``below_size``).
    """
    width, height = image.size
    if not upscale and (width < bucket[0] or height < bucket[1]):
        raise ImageError(
            "below_size",
            f"is {width}x{height}, too small for {bucket[0]}x{bucket[1]} without enlarging",
        )
    return covered(image, bucket)


def covered(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the middle of the image, scaled by LANCZOS so that it just fills a shape."""
    if image.width * size[1] >= image.height * size[0]:
        width, height = image.height * size[0] / size[1], float(image.height)
    else:
        width, height = float(image.width), image.width * size[1] / size[0]
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    return image.resize(size, Image.Resampling.LANCZOS, box=box)


def cropped_px(image: Size, size: Size) -> tuple[int, int]:
    """Return how many pixels of a scaled image are left of, and above, what fills a shape."""
    scale = max(size[0] / image[0], size[1] / image[1])
    left, top = ((image[at] * scale - size[at]) / 2 for at in (0, 1))
    return round(left), round(top)


def padded_box(size: Size, size_px: int) -> tuple[int, int, int, int]:
    """Return where an image lies in the square that it was padded to: left, top, right, bottom."""
    scale = size_px / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    left, top = (size_px - width) // 2, (size_px - height) // 2
    return left, top, left + width, top + height


def _padded(image: Image.Image, size_px: int, background: str) -> Image.Image:
    left, top, right, bottom = padded_box(image.size, size_px)
    square = Image.new("RGB", (size_px, size_px), ImageColor.getrgb(background))
    scaled = image.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
    square.paste(scaled, (left, top))
    return square
