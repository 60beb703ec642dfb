"""EXIF, TIFF and XMP as far as they turn an image: read entry by entry, whatever else is in them.

TIFF 6.0, section 2; Exif 2.32, section 4.5; Adobe XMP specification part 2, table 8.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ORIENTATION = 0x0112
MPF_IMAGES = 0xB001
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
_FORMATS = {1: "B", 3: "H", 4: "L"}
_SEARCHED_BYTES = 32
_MOST_XMP_BYTES = 1_000_000
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]")


@dataclass(frozen=True)
class Entry:
    """One field of a TIFF directory: integers, or none where its type is another.

    Attributes:
        tag: Number of the field.
        values: Its values, as far as they lie within the bytes.
        at: Where the field begins.
    """

    tag: int
    values: tuple[int, ...]
    at: int = 0


def directory(tiff: bytes) -> Iterator[Entry]:
    """Yield the entries of the first directory; a damaged one costs itself and none of the others.

    Args:
        tiff: Bytes that begin with a TIFF header; nothing is yielded if they do not.
    """
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return
    (start,) = struct.unpack_from(f"{order}L", tiff, 4)
    if start + 2 > len(tiff):
        return
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, values = struct.unpack_from(f"{order}HHL", tiff, at)
        yield Entry(tag, _values(tiff, at + 8, order, kind, values), at)


def exif_orientation(exif: bytes) -> int:
    """Return the orientation that EXIF states, 1 to 8, or 0.

    Args:
        exif: With or without the prefix ``Exif``, once or twice, that JPEG puts before it.
    """
    starts = [exif.find(magic, 0, _SEARCHED_BYTES) for magic in _BYTE_ORDERS]
    start = min((start for start in starts if start >= 0), default=len(exif))
    for entry in directory(exif[start:]):
        if entry.tag == ORIENTATION and entry.values and 1 <= entry.values[0] <= 8:
            return entry.values[0]
    return 0


def xmp_orientation(xmp: bytes) -> int:
    """Return the orientation that an XMP packet states, 1 to 8, or 0."""
    found = _XMP_ORIENTATION.search(xmp[:_MOST_XMP_BYTES])
    return int(found[1]) if found else 0


def _values(tiff: bytes, at: int, order: str, kind: int, count: int) -> tuple[int, ...]:
    code = _FORMATS.get(kind)
    if code is None or count > len(tiff):
        return ()
    size = struct.calcsize(f"={code}") * count
    if size > 4:
        (at,) = struct.unpack_from(f"{order}L", tiff, at)
    if at + size > len(tiff):
        return ()
    return struct.unpack_from(f"{order}{count}{code}", tiff, at)
