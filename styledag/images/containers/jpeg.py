"""JPEG: its tables and scans, with the two application segments that decide its colour model.

ITU-T T.81 annex B; ICC.1:2022 annex B.4; CIPA DC-007 (multi-picture format).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from styledag.errors import ImageError
from styledag.images.containers.exif import MPF_IMAGES, directory, exif_orientation, xmp_orientation
from styledag.images.containers.parts import MOST_PROFILE_BYTES, Parts

_START, _END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_COMPONENTS_AT, _NOT_SENT = 6, 16
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""A marker other than those within a scan."""
_APPLICATION = range(0xE0, 0xF0)
_JFIF, _ADOBE = (0xE0, b"JFIF\x00"), (0xEE, b"Adobe")
_ICC = b"ICC_PROFILE\x00"
_EXIF, _XMP, _MPF = b"Exif\x00", b"http://ns.adobe.com/xap/1.0/\x00", b"MPF\x00"


@dataclass(frozen=True)
class _Segment:
    marker: int
    data: bytes
    whole: bytes


def jpeg_parts(content: bytes) -> Parts:
    """Return the parts of a JPEG; of one with several images, the first.

    Args:
        content: A file that begins with JPEG's start marker.

    Raises:
        ImageError: If its samples have other than 8 bits (``unsupported_mode``).
    """
    kept = [b"\xff\xd8"]
    profile: dict[int, tuple[int, bytes]] = {}
    exif = xmp = 0
    frames = 1
    for segment in _segments(content):
        data = segment.data
        if _decides_pixels(segment):
            kept.append(segment.whole)
        if segment.marker in _FRAMES and data and data[0] != 8:
            raise ImageError("unsupported_mode", f"is a JPEG of {data[0]} bits a sample, not 8")
        if data.startswith(_EXIF):
            exif = exif or exif_orientation(data[len(_EXIF) :])
        elif data.startswith(_XMP):
            xmp = xmp or xmp_orientation(data)
        elif data.startswith(_ICC) and len(data) > len(_ICC) + 2:
            number, count = data[len(_ICC) : len(_ICC) + 2]
            profile.setdefault(number, (count, data[len(_ICC) + 2 :]))
        elif data.startswith(_MPF):
            found = (e.values for e in directory(data[len(_MPF) :]) if e.tag == MPF_IMAGES)
            frames = next((max(1, values[0]) for values in found if values), frames)
    parts = Parts(content=b"".join(kept), frames=frames, orientation=exif or xmp)
    return _with_profile(parts, profile)


def has_all_scans(content: bytes) -> bool:
    """Return whether a JPEG has a scan of every bit of every coefficient.

    A progressive one (T.81 annex G) that is cut between two scans has all its pixels, coarsely.

    Args:
        content: The file; its end marker may be missing.
    """
    lowest_bits: dict[int, list[int]] = {}
    is_progressive = False
    for segment in _segments(content):
        if segment.marker in _FRAMES and len(segment.data) > _COMPONENTS_AT:
            is_progressive = segment.marker in _PROGRESSIVE
            components = segment.data[_COMPONENTS_AT::3]
            lowest_bits = {each: [_NOT_SENT] * 64 for each in components}
        elif segment.marker == _SCAN:
            for components, first, last, lowest in _scans(segment.whole):
                sent = slice(first, last + 1) if is_progressive else slice(64)
                for each in components:
                    found = lowest_bits.get(each, [])
                    found[sent] = [lowest if is_progressive else 0] * len(found[sent])
    return not any(lowest for each in lowest_bits.values() for lowest in each)


def _scans(content: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield the components, the first and last coefficient and the lowest bit of each scan."""
    at = 0
    while (marker := _MARKER.search(content, at)) and marker[1][0] != _END:
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
        header = content[marker.end() + 2 : at]
        if marker[1][0] == _SCAN and header and len(header) == 2 * header[0] + 4:
            first, last, approximation = header[-3:]
            yield header[1:-3:2], first, last, approximation & 15


def _decides_pixels(segment: _Segment) -> bool:
    if segment.marker == _COMMENT:
        return False
    if segment.marker in _APPLICATION:
        return any(
            segment.marker == marker and segment.data.startswith(name) and len(segment.data) >= 12
            for marker, name in (_JFIF, _ADOBE)
        )
    return True


def _segments(content: bytes) -> Iterator[_Segment]:
    """Yield the segments up to the first scan, which is yielded with all that comes after it."""
    at = 2
    while at < len(content):
        start = content.find(b"\xff", at)
        if start < 0:
            return
        at = start + 1
        while at < len(content) and content[at] == 0xFF:  # bytes that fill
            at += 1
        if at >= len(content):
            return
        marker = content[at]
        at += 1
        if marker == 0 or marker == _START or marker in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(content[at : at + 2], "big")
        if marker in (_SCAN, _END) or length < 2 or at + length > len(content):
            yield _Segment(marker, b"", b"\xff" + content[at - 1 :])
            return
        data = content[at + 2 : at + length]
        yield _Segment(marker, data, b"\xff" + content[at - 1 : at + length])
        at += length


def _with_profile(parts: Parts, profile: dict[int, tuple[int, bytes]]) -> Parts:
    if not profile:
        return parts
    numbers = sorted(profile)
    joined = b"".join(profile[number][1] for number in numbers)
    whole = numbers == list(range(1, profile[numbers[0]][0] + 1))
    if not whole or len(joined) > MOST_PROFILE_BYTES:
        return parts.noting("icc_ignored", "icc_damaged")
    return replace(parts, icc_profile=joined)
