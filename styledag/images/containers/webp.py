"""WebP: its bitstream and alpha, or those of its animation's first frame.

RFC 9649, section 2.
"""

from collections.abc import Iterator

from styledag.images.containers.exif import exif_orientation, xmp_orientation
from styledag.images.containers.parts import MOST_PROFILE_BYTES, Parts, Size

_IMAGE = (b"VP8 ", b"VP8L")
_HAS_ALPHA = 0x10
_FRAME_HEADER_BYTES = 16


def webp_parts(content: bytes) -> Parts:
    """Return the parts of a WebP; uncovered canvas is transparent, as browsers show it.

    Args:
        content: A file that begins with WebP's RIFF header.
    """
    image: list[tuple[bytes, bytes]] = []
    canvas: Size | None = None
    first_frame: bytes | None = None
    exif = xmp = frames = 0
    icc_profile: bytes | None = None
    for name, data in _chunks(content[12:]):
        if name == b"VP8X" and len(data) >= 10:
            canvas = _size(data[4:10])
        elif name in (b"ALPH", *_IMAGE):
            image.append((name, data))
        elif name == b"ANMF" and len(data) >= _FRAME_HEADER_BYTES:
            frames += 1
            first_frame = data if first_frame is None else first_frame
        elif name == b"EXIF":
            exif = exif_orientation(data)
        elif name == b"XMP ":
            xmp = xmp_orientation(data)
        elif name == b"ICCP":
            icc_profile = data
    notes: tuple[str, ...] = ()
    if icc_profile is not None and len(icc_profile) > MOST_PROFILE_BYTES:
        icc_profile, notes = None, ("icc_ignored", "icc_damaged")
    offset = (0, 0)
    size = canvas
    if first_frame is not None:
        offset = _twice(first_frame[:3]), _twice(first_frame[3:6])
        size = _size(first_frame[6:12])
        image = list(_chunks(first_frame[_FRAME_HEADER_BYTES:]))
    return Parts(
        content=_file(image, size),
        canvas=canvas if size != canvas else None,
        offset=offset,
        frames=max(frames, 1),
        orientation=exif or xmp,
        icc_profile=icc_profile,
        notes=notes,
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and data; the last one may be cut off, which the decoder finds."""
    at = 0
    while at + 8 <= len(content):
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        yield content[at : at + 4], content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _size(sides: bytes) -> Size:
    """Return width and height, each stored as three bytes less one."""
    return int.from_bytes(sides[:3], "little") + 1, int.from_bytes(sides[3:6], "little") + 1


def _twice(half: bytes) -> int:
    return 2 * int.from_bytes(half, "little")


def _file(image: list[tuple[bytes, bytes]], size: Size | None) -> bytes:
    """Return a still WebP: plain if the bitstream says all, else extended by its alpha."""
    chunks = [(name, data) for name, data in image if name in (b"ALPH", *_IMAGE)]
    if chunks and chunks[0][0] == b"ALPH" and size is not None:
        sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
        chunks.insert(0, (b"VP8X", bytes((_HAS_ALPHA, 0, 0, 0)) + sides))
    body = b"".join(
        name + len(data).to_bytes(4, "little") + data + b"\x00" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body
