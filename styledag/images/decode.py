"""Bytes of any opened format become upright, opaque sRGB pixels."""

import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image, ImageColor, ImageFile, ImageOps, UnidentifiedImageError

from styledag.errors import ImageError
from styledag.images.colour import to_srgb
from styledag.images.formats import opened_formats, refusal
from styledag.images.limits import decoding_limits
from styledag.images.transparency import composite, scale_key_colour, split_alpha

_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True)
class DecodedImage:
    """One image's pixels and what was found on the way.

    Attributes:
        image: Mode RGB, sRGB, upright.
        format: Pillow's name of the format.
        frames: Frames in the file; ``image`` is the first.
        notes: Reasons for what was done beyond the ordinary.
    """

    image: Image.Image
    format: str
    frames: int
    notes: tuple[str, ...]


def decode_image(content: bytes, *, background: str, max_pixels: int) -> DecodedImage:
    """Return the first frame of an image as upright, opaque sRGB pixels.

    Args:
        content: The file's bytes.
        background: Colour under transparency, ``#rrggbb``.
        max_pixels: Width times height above which the image is not decoded.

    Raises:
        ImageError: If the image cannot be used, whatever the decoder raised: ``empty``,
            ``not_a_image``, ``unsupported_format``, ``unsupported_mode``, ``damaged``,
            ``too_many_pixels`` or ``out_of_memory``.
    """
    try:
        with decoding_limits(max_pixels) as warned:
            decoded = _decode(content, background)
    except UnidentifiedImageError as exc:
        raise refusal(content) from exc
    except _BOMBS as exc:
        raise ImageError("too_many_pixels", f"has more than {max_pixels} pixels") from exc
    except MemoryError as exc:
        raise ImageError("out_of_memory", "its pixels do not fit into memory") from exc
    except _DECODER_ERRORS as exc:
        raise ImageError("damaged", f"{type(exc).__name__}: {exc}") from exc
    if not warned:
        return decoded
    return DecodedImage(
        decoded.image, decoded.format, decoded.frames, (*decoded.notes, "decoder_warned")
    )


def _decode(content: bytes, background: str) -> DecodedImage:
    frames, notes = _count_frames(content)
    with _open(content) as file:
        icc_profile = file.info.get("icc_profile")
        format_name = str(file.format)
        scale_key_colour(file)
        file.load()
        image, orientation_notes = _upright(file)
        colours, alpha = split_alpha(image)
    rgb, colour_notes = to_srgb(colours, icc_profile)
    opaque = composite(rgb, alpha, ImageColor.getrgb(background))
    return DecodedImage(opaque, format_name, frames, (*notes, *orientation_notes, *colour_notes))


def _open(content: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(content), formats=opened_formats())


def _count_frames(content: bytes) -> tuple[int, list[str]]:
    """Return the number of frames; damage behind the first frame does no harm to it."""
    with _open(content) as file:
        try:
            return int(getattr(file, "n_frames", 1)), []
        except (*_DECODER_ERRORS, *_BOMBS):
            return 1, ["frames_unknown"]


def _upright(image: Image.Image) -> tuple[Image.Image, list[str]]:
    try:
        return ImageOps.exif_transpose(image), []
    except _DECODER_ERRORS:
        return image, ["exif_ignored"]
