"""Image files written by hand, with chunks and segments that no library writes."""

import struct
import zlib

import numpy as np
from PIL import Image

from styledag.errors import ImageError
from styledag.images.converting.decode import DecodedImage, decode_image
from styledag_tests.images.images import saved

BACKGROUND = (255, 0, 200)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def decode(content: bytes, max_pixels: int = 1_000_000) -> DecodedImage:
    return decode_image(content, background="#ff00c8", max_pixels=max_pixels)


def refusal_of(content: bytes) -> str:
    try:
        decode(content)
    except ImageError as error:
        return error.reason
    return "none"


def colours(image: Image.Image) -> list[tuple[int, ...]]:
    """The pixels' colours, row by row."""
    return [tuple(colour) for row in np.asarray(image).tolist() for colour in row]


def chunk(name: bytes, data: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(name + data) if crc is None else crc
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", crc)


def png_with(*chunks: bytes, image: Image.Image | None = None, before: bytes = b"IDAT") -> bytes:
    """A PNG with further chunks in front of its first IDAT, or of another chunk."""
    content = saved(corner() if image is None else image)
    at = content.index(before) - 4
    return content[:at] + b"".join(chunks) + content[at:]


def corner(size: tuple[int, int] = (6, 4)) -> Image.Image:
    """Red at the upper left, blue elsewhere: every way of turning it shows."""
    image = Image.new("RGB", size, BLUE)
    image.putpixel((0, 0), RED)
    return image


def exif(*entries: tuple[int, int, int, bytes], order: str = ">") -> bytes:
    """EXIF with these entries (tag, type, count, four bytes of value), in their order."""
    head = b"MM\x00*" if order == ">" else b"II*\x00"
    body = b"".join(
        struct.pack(f"{order}HHL", tag, kind, count) + value for tag, kind, count, value in entries
    )
    return head + struct.pack(f"{order}LH", 8, len(entries)) + body + bytes(4)


def turned(orientation: int, order: str = ">") -> tuple[int, int, int, bytes]:
    return 0x0112, 3, 1, struct.pack(f"{order}HH", orientation, 0)


def segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg_with(*segments: bytes, image: Image.Image | None = None, **options) -> bytes:
    """A JPEG with further segments behind its start marker."""
    image = corner((48, 32)) if image is None else image
    content = saved(image, "JPEG", quality=95, subsampling=0, **options)
    return content[:2] + b"".join(segments) + content[2:]


def tiff(
    rows: bytes,
    size: tuple[int, int],
    bits: tuple[int, ...],
    photometric: int,
    *,
    order: str = "<",
    **tags: tuple[int, ...],
) -> bytes:
    """An uncompressed TIFF of one strip; further tags by the names below, as SHORTs."""
    numbers = {"sample_format": 339, "extra": 338, "planar": 284, "colours": 320, "turn": 274}
    numbers |= {"subfile": 254, "below": 330}
    shorts = {
        256: (size[0],),
        257: (size[1],),
        258: bits,
        259: (1,),
        262: (photometric,),
        277: (len(bits),),
        278: (size[1],),
        **{numbers[name]: values for name, values in tags.items()},
    }
    planes = len(bits) if tags.get("planar") == (2,) else 1
    at = 8 + 2 + 12 * (len(shorts) + 2) + 4
    start = at + sum(2 * len(values) for values in shorts.values() if len(values) > 2)
    start += 8 * planes if planes > 1 else 0
    strip = len(rows) // planes
    longs = {273: [start + strip * plane for plane in range(planes)], 279: [strip] * planes}
    entries, behind = {}, b""
    for kind, letter, fields in ((3, "H", shorts), (4, "L", longs)):
        for tag, values in fields.items():
            value = struct.pack(f"{order}{len(values)}{letter}", *values)
            if len(value) > 4:
                value, behind = struct.pack(f"{order}L", at + len(behind)), behind + value
            field = struct.pack(f"{order}HHL", tag, kind, len(values))
            entries[tag] = field + value.ljust(4, b"\x00")
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(f"{order}L", 8)
    body = struct.pack(f"{order}H", len(entries)) + b"".join(
        entries[tag] for tag in sorted(entries)
    )
    return head + body + bytes(4) + behind + rows
