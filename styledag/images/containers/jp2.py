"""JPEG 2000 in its own file format: which samples it has, and what they mean.

ISO/IEC 15444-1 (ITU-T T.800) annexes A and I. What Pillow's decoder would show otherwise than it is
meant (palettes, signed samples, subsampled or premultiplied ones) is refused.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from styledag.errors import ImageError
from styledag.images.containers.parts import MOST_PROFILE_BYTES, Parts

SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_BY_NUMBER, _BY_PROFILE = 1, (2, 3)
_COLOURS_OF = {12: 4, 16: 3, 17: 1}
"""Colour channels of CMYK, sRGB and grey, by the standard's numbers."""
_COLOUR, _ALPHA, _WHOLE_IMAGE = 0, 1, 0
_STARTS = b"\xff\x4f\xff\x51"
_SIZES = struct.Struct(">HHIIIIIIIIH")


@dataclass(frozen=True)
class _Colours:
    """How many colour channels there are, and their profile, if one is stated."""

    channels: int
    profile: bytes | None = None


def jp2_parts(content: bytes) -> Parts:
    """Return the parts of a JPEG 2000 file.

    Args:
        content: A file that begins with :data:`SIGNATURE`.

    Raises:
        ImageError: If its samples are not 8 bits of grey, sRGB or CMYK, with or without alpha, or
            16 of grey (``unsupported_mode``); ``damaged`` if it states nothing of them.
    """
    boxes = dict(reversed([*_boxes(content)]))  # of several of a kind, the first
    codestream = boxes.get(b"jp2c", b"")
    if b"jp2h" not in boxes or not codestream.startswith(_STARTS):
        raise ImageError("damaged", "is JPEG 2000 without a header or without an image")
    header = [*_boxes(boxes[b"jp2h"])]
    colours = next((found for found in map(_colours, header) if found), None)
    if any(kind == b"pclr" for kind, _ in header):
        raise _unsupported("a palette")
    if colours is None:
        raise _unsupported("a colour space other than grey, sRGB, CMYK or that of a profile")
    depths = _depths(codestream, dict(header).get(b"ihdr", b"")[:8])
    _check_channels(len(depths), colours.channels, dict(header).get(b"cdef"))
    if {*depths} != {8} and depths != [16]:
        stated = " and ".join(str(depth) for depth in sorted({*depths}))
        raise _unsupported(f"{len(depths)} channels of {stated} bits a sample")
    return Parts(content=content, icc_profile=colours.profile)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        start = at + 8
        if length == 1:
            length, start = int.from_bytes(content[start : start + 8], "big"), start + 8
        end = len(content) if length == 0 else at + length
        if end < start:
            return
        yield kind, content[start:end]
        at = end


def _colours(box: tuple[bytes, bytes]) -> _Colours | None:
    """Return what a box states of the colours, if it does and it is known here."""
    kind, data = box
    if kind != b"colr" or len(data) < 7:
        return None
    if data[0] == _BY_NUMBER:
        channels = _COLOURS_OF.get(int.from_bytes(data[3:7], "big"))
        return None if channels is None else _Colours(channels)
    profile = data[3:]
    channels = {b"GRAY": 1, b"RGB ": 3}.get(profile[16:20])
    if data[0] not in _BY_PROFILE or channels is None or len(profile) > MOST_PROFILE_BYTES:
        return None
    return _Colours(channels, profile)


def _depths(codestream: bytes, size: bytes) -> list[int]:
    """Return the bits of a sample of each channel, of which Pillow reads no subsampled ones.

    Args:
        codestream: The image.
        size: Its height and width as the file's header states them, by which memory is limited.
    """
    try:
        _, _, right, bottom, left, top, *_, count = _SIZES.unpack_from(codestream, len(_STARTS))
        is_of_size = struct.pack(">II", bottom - top, right - left) == size
    except struct.error as exc:
        raise ImageError("damaged", "is JPEG 2000 whose image has no header") from exc
    if not is_of_size:
        raise ImageError("damaged", "is JPEG 2000 whose header states another size than its image")
    stated = codestream[len(_STARTS) + _SIZES.size :][: 3 * count]
    if any(sample & 0x80 for sample in stated[::3]):
        raise _unsupported("signed samples")
    if any(step != 1 for step in (*stated[1::3], *stated[2::3])):
        raise _unsupported("subsampled channels")
    return [sample + 1 for sample in stated[::3]]


def _check_channels(count: int, colours: int, definition: bytes | None) -> None:
    meant = [(at, _COLOUR, at + 1) for at in range(colours)]
    if count == colours + 1 and colours != _COLOURS_OF[12]:
        meant.append((colours, _ALPHA, _WHOLE_IMAGE))
    elif count != colours:
        raise _unsupported(f"{count} channels for {colours} colours")
    if definition is None:
        if count != colours:
            raise _unsupported("a channel whose meaning is not stated")
        return
    stated = [*struct.iter_unpack(">HHH", definition[2:][: 6 * count])]
    if sorted(stated) != meant:
        raise _unsupported("channels in another order, or premultiplied ones")


def _unsupported(what: str) -> ImageError:
    return ImageError("unsupported_mode", f"is JPEG 2000 with {what}: convert it to PNG")
