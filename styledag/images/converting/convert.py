"""One image file becomes the JPEG that the settings ask for: a pure function of both."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from styledag.errors import ImageError
from styledag.images.buckets import nearest_bucket, settings_buckets
from styledag.images.containers.parts import Size
from styledag.images.converting.decode import DecodedImage, decode_image
from styledag.images.converting.resize import cropped_px, to_bucket, to_square
from styledag.images.encode import encode_jpeg
from styledag.images.settings import ImageSettings

if TYPE_CHECKING:
    from PIL.Image import Image

_SPARE = 1.5
"""How much larger than needed a JPEG is decoded before LANCZOS scales it: 49 dB from the result of
decoding it whole, where JPEG's own loss at quality 95 is larger."""


@dataclass(frozen=True)
class Converted:
    """What became of one image file.

    Attributes:
        record: A manifest's columns of it, or ``reason`` and ``detail`` of its rejection; JSON.
        jpeg: The JPEG; empty if it is rejected.
    """

    record: dict[str, Any]
    jpeg: bytes = b""


def convert_image(content: bytes, settings: ImageSettings) -> Converted:
    """Return an image file's JPEG, or why there is none."""
    try:
        decoded = decode_image(
            content,
            background=settings.background,
            max_pixels=settings.max_pixels,
            scale_of=partial(_scale, settings=settings),
        )
        image = _resized(decoded, settings)
    except ImageError as exc:
        return rejected(exc.reason, exc.detail)
    cropped = (
        (0, 0) if settings.mode == "pad" else cropped_px(decoded.size, (image.width, image.height))
    )
    record = {
        "width_px": image.width,
        "height_px": image.height,
        "raw_width_px": decoded.size[0],
        "raw_height_px": decoded.size[1],
        "crop_left_px": cropped[0],
        "crop_top_px": cropped[1],
        "raw_format": decoded.format,
        "frames": decoded.frames,
        "notes": list(decoded.notes),
    }
    return Converted(record, encode_jpeg(image, quality=settings.quality))


def rejected(reason: str, detail: str) -> Converted:
    """Return an image that cannot be used."""
    return Converted({"reason": reason, "detail": detail})


def _target(size: Size, settings: ImageSettings) -> Size:
    if settings.mode == "bucket":
        return nearest_bucket(size, settings_buckets(settings))
    return settings.size_px, settings.size_px


def _scale(size: Size, settings: ImageSettings) -> float:
    """Return the scale below which an image of a size would have too few pixels."""
    width, height = _target(size, settings)
    scales = width / size[0], height / size[1]
    needed = min(scales) if settings.mode == "pad" else max(scales)
    return needed * _SPARE


def _resized(decoded: DecodedImage, settings: ImageSettings) -> "Image":
    if settings.mode == "bucket":
        bucket = _target(decoded.size, settings)
        return to_bucket(decoded.image, bucket, upscale=settings.upscale)
    return to_square(
        decoded.image,
        size_px=settings.size_px,
        mode=settings.mode,
        upscale=settings.upscale,
        background=settings.background,
    )
