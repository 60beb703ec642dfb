"""Bytes of any opened format become upright, opaque sRGB pixels."""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil

from PIL import Image, ImageChops, ImageColor, ImageFile, UnidentifiedImageError

from styledag.errors import ImageError
from styledag.images.containers.exif import ORIENTATION
from styledag.images.containers.gif import gif_parts
from styledag.images.containers.jp2 import SIGNATURE as JP2_SIGNATURE
from styledag.images.containers.jp2 import jp2_parts
from styledag.images.containers.jpeg import has_all_scans, jpeg_parts
from styledag.images.containers.parts import Parts, Size
from styledag.images.containers.png import SIGNATURE, png_parts
from styledag.images.containers.tiff import refuse_preview, with_black_at_zero
from styledag.images.containers.webp import webp_parts
from styledag.images.converting.colour import to_srgb
from styledag.images.converting.formats import formats_for, refusal
from styledag.images.converting.transparency import composite, scale_key_colour, split_alpha

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
_TURN = Image.Transpose
_UPRIGHT_BY = {
    2: _TURN.FLIP_LEFT_RIGHT,
    3: _TURN.ROTATE_180,
    4: _TURN.FLIP_TOP_BOTTOM,
    5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_270,
    7: _TURN.TRANSVERSE,
    8: _TURN.ROTATE_90,
}
_TURNED_BY_DECODER = frozenset({"TIFF"})
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_NO_PIXEL = 128
_FILLINGS = (b"\x55" * 64, b"\xaa" * 64)
_SHRUNK_BY_DECODER = frozenset({"JPEG"})
_PILLOW_GLOBALS = threading.RLock()

ScaleOf = Callable[[Size], float]
"""Returns the share of its width and height at which an image of a size is needed."""


@dataclass(frozen=True)
class DecodedImage:
    """One image's pixels and what was found on the way.

    Attributes:
        image: Mode RGB, sRGB, upright; smaller than ``size`` if less was asked for.
        size: Width and height of the original, upright.
        format: Pillow's name of the format.
        frames: Frames in the file; ``image`` is the first.
        notes: Reasons for what was done beyond the ordinary.
    """

    image: Image.Image
    size: Size
    format: str
    frames: int
    notes: tuple[str, ...]


def decode_image(
    content: bytes, *, background: str, max_pixels: int, scale_of: ScaleOf | None = None
) -> DecodedImage:
    """Return the first frame of an image as upright, opaque sRGB pixels.

    Args:
        content: The file's bytes.
        background: Colour under transparency, ``#rrggbb``.
        max_pixels: Width times height above which the image is not decoded.
        scale_of: The scale at which the image is needed, by its size; a JPEG is then decoded at
            the smallest of its own scales (1/8, 1/4, 1/2) that is not below it.

    Raises:
        ImageError: If the image cannot be used, whatever the decoder raised: ``empty``,
            ``not_an_image``, ``unsupported_format``, ``unsupported_mode``, ``damaged``,
            ``too_many_pixels`` or ``out_of_memory``.
    """
    try:
        with decoding_limits(max_pixels) as warned:
            decoded = _decode(content, background, max_pixels, scale_of)
    except UnidentifiedImageError as exc:
        raise refusal(content) from exc
    except _BOMBS as exc:
        raise ImageError("too_many_pixels", f"has more than {max_pixels} pixels") from exc
    except MemoryError as exc:
        raise ImageError("out_of_memory", "its pixels do not fit into memory") from exc
    except _DECODER_ERRORS as exc:
        raise ImageError("damaged", f"{type(exc).__name__}: {exc}") from exc
    return replace(decoded, notes=(*decoded.notes, "decoder_warned")) if warned else decoded


def _decode(
    content: bytes, background: str, max_pixels: int, scale_of: ScaleOf | None
) -> DecodedImage:
    parts = file_parts(content) or _parts_of_any(content)
    if parts.canvas is not None and parts.canvas[0] * parts.canvas[1] > max_pixels:
        raise Image.DecompressionBombError
    try:
        return _decoded(parts, background, scale_of)
    except OSError:
        whole = _with_end(parts)
        if whole is None:
            raise
        return _decoded(whole, background, scale_of)


def _decoded(parts: Parts, background: str, scale_of: ScaleOf | None) -> DecodedImage:
    with _open(parts.content) as file:
        size, format_name = parts.canvas or file.size, str(file.format)
        if scale_of is not None and format_name in _SHRUNK_BY_DECODER:
            _shrink(file, scale_of(_turned(size, parts.orientation)))
        scale_key_colour(file)
        file.load()
        if format_name == "JPEG" and _ends_in_grey(file) and not _is_whole(_without_end(parts)):
            raise ImageError("damaged", "its data end before its pixels, which are grey from there")
        if format_name in _TURNED_BY_DECODER:
            size = file.size
        colours, alpha = split_alpha(file)
        if parts.is_negative:
            colours = ImageChops.invert(colours)
    rgb, colour_notes = to_srgb(colours, parts.icc_profile, parts.gamma)
    rgb, alpha = _on_canvas(rgb, alpha, parts)
    opaque = composite(rgb, alpha, ImageColor.getrgb(background))
    return DecodedImage(
        _upright(opaque, parts.orientation),
        _turned(size, parts.orientation),
        format_name,
        parts.frames or 1,
        (*parts.notes, *colour_notes),
    )


def _with_end(parts: Parts) -> Parts | None:
    """Return a JPEG whose end marker alone is missing with it; ``None`` for any other file."""
    content = parts.content
    is_jpeg = content.startswith(_JPEG_START)
    if not is_jpeg or not has_all_scans(content) or not _is_whole(content):
        return None
    return replace(parts, content=content + _JPEG_END).noting("end_missing")


def _ends_in_grey(file: Image.Image) -> bool:
    """Return whether a JPEG's last pixel is what its decoder puts in place of one it lacks."""
    return file.getpixel((file.width - 1, file.height - 1)) in (_NO_PIXEL, (_NO_PIXEL,) * 3)


def _without_end(parts: Parts) -> bytes:
    """Return a JPEG up to its end marker, which no byte of its scans can be taken for."""
    scan = parts.content.find(_JPEG_SCAN)
    end = parts.content.find(_JPEG_END, max(scan, 0))
    return parts.content if end < 0 else parts.content[:end]


def _is_whole(content: bytes) -> bool:
    """Return whether a JPEG without its end marker has all its pixels.

    What is read for pixels that are missing would come from the bytes put in their place, so the
    pixels are all there if they are the same whatever those bytes are.
    """
    pixels = []
    for filling in _FILLINGS:
        try:
            with _open(content + filling + _JPEG_END) as file:
                pixels.append(file.tobytes())
        except _DECODER_ERRORS:
            return False
    return pixels[0] == pixels[1]


def _open(content: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(content), formats=formats_for(content))


def _parts_of_any(content: bytes) -> Parts:
    """Return the parts of a file as its decoder sees them, or of the negative that it can open."""
    refuse_preview(content)
    try:
        return _parts_by_decoder(content)
    except UnidentifiedImageError:
        negative = with_black_at_zero(content)
        if negative is None:
            raise
        return replace(_parts_by_decoder(negative), is_negative=True)


def _parts_by_decoder(content: bytes) -> Parts:
    """Return the parts of a file whose container only its decoder reads."""
    with _open(content) as file:
        parts = Parts(content=content, icc_profile=file.info.get("icc_profile"))
        try:
            frames = int(getattr(file, "n_frames", 1))
        except (*_DECODER_ERRORS, *_BOMBS):
            # Damage behind the first frame does no harm to it.
            frames, parts = 1, parts.noting("frames_unknown")
        orientation = 0
        if file.format not in _TURNED_BY_DECODER:
            try:
                orientation = int(file.getexif().get(ORIENTATION, 0))
            except _DECODER_ERRORS:
                parts = parts.noting("exif_ignored")
    return replace(parts, frames=frames, orientation=orientation)


def _shrink(file: ImageFile.ImageFile, scale: float) -> None:
    if scale < 1:
        file.draft(None, (ceil(file.width * scale), ceil(file.height * scale)))


def _on_canvas(
    rgb: Image.Image, alpha: Image.Image | None, parts: Parts
) -> tuple[Image.Image, Image.Image | None]:
    """Return colours and alpha of the whole image, transparent around its first frame."""
    if parts.canvas is None:
        return rgb, alpha
    whole, clear = Image.new("RGB", parts.canvas), Image.new("L", parts.canvas, 0)
    whole.paste(rgb, parts.offset)
    clear.paste(Image.new("L", rgb.size, 255) if alpha is None else alpha, parts.offset)
    return whole, clear


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT_BY.get(orientation)
    return image if turn is None else image.transpose(turn)


def _turned(size: Size, orientation: int) -> Size:
    return (size[1], size[0]) if orientation >= 5 else size


@contextmanager
def decoding_limits(max_pixels: int) -> Iterator[list[warnings.WarningMessage]]:
    """Yield the list into which decoders' warnings go, while larger images raise.

    Pillow's limit and Python's warning filters are the process's own, so decodings take turns
    and both are as before afterwards.

    Args:
        max_pixels: Width times height above which a decompression-bomb warning is raised.
    """
    with _PILLOW_GLOBALS, warnings.catch_warnings(record=True, action="always") as caught:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield caught
        finally:
            Image.MAX_IMAGE_PIXELS = before


def file_parts(content: bytes) -> Parts | None:
    """Return the parts of a PNG, JPEG, JPEG 2000, WebP or GIF, and ``None`` for any other format.

    Raises:
        ImageError: If the format allows what no decoder here reads (``unsupported_mode``).
    """
    if content.startswith(SIGNATURE):
        return png_parts(content)
    if content.startswith(b"\xff\xd8"):
        return jpeg_parts(content)
    if content.startswith(JP2_SIGNATURE):
        return jp2_parts(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return webp_parts(content)
    if content.startswith((b"GIF87a", b"GIF89a")):
        return gif_parts(content)
    return None
