"""PNG: its critical chunks and transparency, or the first frame of its animation.

PNG specification, third edition (W3C, 2025): https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from styledag.images.containers.exif import exif_orientation, xmp_orientation
from styledag.images.containers.parts import MOST_PROFILE_BYTES, Parts, Size, unpacked

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp\x00\x00"
_FRAME_CONTROL = struct.Struct(">LLLLLHHBB")


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    data: bytes
    whole: bytes
    sound: bool

    @property
    def ancillary(self) -> bool:
        """Whether the image can be shown without it: bit 5 of the name's first byte."""
        return bool(self.name[0] & 0x20)


@dataclass
class _Frame:
    """The first frame of an animation: where it lies, and its data unless that is IDAT."""

    size: Size
    offset: tuple[int, int]
    data: list[bytes] = field(default_factory=list)


class _Reader:
    """Sorts chunks into what decides the pixels and what is known of them."""

    def __init__(self) -> None:
        self.kept: list[_Chunk] = []
        self.notes: list[str] = []
        self.exif = self.xmp = 0
        self.icc_profile: bytes | None = None
        self.gamma = 0.0
        self.states_colours = False
        self.animated_frames = 0
        self.frame: _Frame | None = None
        self.frames_read = 0
        self.image_data = False

    def read(self, chunk: _Chunk) -> None:
        self.image_data |= chunk.name == b"IDAT"
        if not chunk.ancillary:
            self.kept.append(chunk)
        elif not chunk.sound:
            self.notes.append("metadata_damaged")
        elif chunk.name == b"tRNS":
            self.kept.append(chunk)
        else:
            self._read_ancillary(chunk)

    def _read_ancillary(self, chunk: _Chunk) -> None:
        # These count before gAMA, which older readers shall find beside them (section 4.3).
        self.states_colours |= chunk.name in (b"iCCP", b"sRGB", b"cICP")
        if chunk.name == b"eXIf":
            self.exif = exif_orientation(chunk.data)
        elif chunk.name == b"iTXt" and chunk.data.startswith(_XMP_KEYWORD):
            self.xmp = xmp_orientation(chunk.data)
        elif chunk.name == b"iCCP":
            packed = chunk.data.partition(b"\x00")[2][1:]
            self.icc_profile = unpacked(packed, MOST_PROFILE_BYTES)
            if self.icc_profile is None:
                self.notes += ["icc_ignored", "icc_damaged"]
        elif chunk.name == b"gAMA" and len(chunk.data) == 4:
            self.gamma = int.from_bytes(chunk.data, "big") / 100_000
        elif chunk.name == b"acTL" and len(chunk.data) == 8 and not self.image_data:
            self.animated_frames = int.from_bytes(chunk.data[:4], "big")
        elif chunk.name == b"fcTL" and len(chunk.data) == _FRAME_CONTROL.size:
            self._read_frame_control(chunk.data)
        elif chunk.name == b"fdAT" and self.frames_read == 1 and self.frame is not None:
            self.frame.data.append(chunk.data[4:])

    def _read_frame_control(self, data: bytes) -> None:
        self.frames_read += 1
        if self.frames_read == 1 and self.image_data:
            _, width, height, left, top, *_ = _FRAME_CONTROL.unpack(data)
            self.frame = _Frame((width, height), (left, top))


def png_parts(content: bytes) -> Parts:
    """Return the parts of a PNG.

    An ancillary chunk, the file's own name for what an image can be shown without, is left out
    whatever is in it. Of an animation, the first frame replaces the default image unless it is
    the default image, as browsers show it.

    Args:
        content: A file that begins with PNG's signature.
    """
    reader = _Reader()
    for chunk in _chunks(content):
        reader.read(chunk)
    parts = Parts(
        content=SIGNATURE + b"".join(chunk.whole for chunk in reader.kept),
        frames=max(reader.animated_frames, 1),
        orientation=reader.exif or reader.xmp,
        icc_profile=reader.icc_profile,
        gamma=0.0 if reader.states_colours else reader.gamma,
    ).noting(*reader.notes)
    size = _size(reader.kept)
    if not reader.animated_frames or reader.frame is None or size is None:
        return parts
    return _first_frame(parts, reader.kept, size, reader.frame)


def _chunks(content: bytes) -> Iterator[_Chunk]:
    at = len(SIGNATURE)
    while at < len(content):
        length, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        end = at + 12 + length
        if not name.isalpha() or end > len(content):
            # What cannot be read as a chunk is the decoder's affair, unless the pixels are whole.
            if not name.isalpha() or not name[0] & 0x20:
                yield _Chunk(b"IDAT", b"", content[at:], sound=False)
                return
            break
        data, crc = content[at + 8 : end - 4], int.from_bytes(content[end - 4 : end], "big")
        yield _Chunk(name, data, content[at:end], sound=zlib.crc32(name + data) == crc)
        if name == b"IEND":
            return
        at = end
    yield _Chunk(b"IEND", b"", _chunk(b"IEND", b""), sound=True)


def _size(chunks: list[_Chunk]) -> Size | None:
    if not chunks or chunks[0].name != b"IHDR" or len(chunks[0].data) != 13:
        return None
    width, height = struct.unpack_from(">LL", chunks[0].data)
    return width, height


def _first_frame(parts: Parts, kept: list[_Chunk], size: Size, frame: _Frame) -> Parts:
    """Return the parts with the animation's first frame in place of the default image."""
    inside = all(
        side > 0 and start + side <= whole
        for side, start, whole in zip(frame.size, frame.offset, size, strict=True)
    )
    if not inside or not frame.data:
        return parts.noting("animation_ignored")
    header = struct.pack(">LL", *frame.size) + kept[0].data[8:]
    palette = (chunk.whole for chunk in kept if chunk.name in (b"PLTE", b"tRNS"))
    content = b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            *palette,
            _chunk(b"IDAT", b"".join(frame.data)),
            _chunk(b"IEND", b""),
        )
    )
    whole = frame.size == size
    return replace(parts, content=content, canvas=None if whole else size, offset=frame.offset)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))
