"""GIF: its first image, placed on the logical screen.

GIF89a specification, CompuServe 1990; what lies outside the first image is transparent in browsers.
"""

import struct

from styledag.images.containers.parts import Parts

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_HEADER_BYTES, _DESCRIPTOR_BYTES = 13, 10


def gif_parts(content: bytes) -> Parts:
    """Return the parts of a GIF.

    A first image that reaches over the logical screen enlarges it, as in browsers.

    Args:
        content: A file that begins with GIF's signature.
    """
    if len(content) < _HEADER_BYTES:
        return Parts(content=content)
    at = _after_table(_HEADER_BYTES, content[10])
    tables = content[:at]
    control, first, frames = b"", b"", 0
    left = top = width = height = 0
    while at < len(content) and content[at] in (_EXTENSION, _IMAGE):
        start = at
        if content[at] == _EXTENSION:
            at = _after_blocks(content, at + 2)
            if not frames and content[start + 1 : start + 2] == bytes((_GRAPHIC_CONTROL,)):
                control = content[start:at]
            continue
        descriptor = content[at : at + _DESCRIPTOR_BYTES]
        if len(descriptor) < _DESCRIPTOR_BYTES:
            break
        at = _after_blocks(content, _after_table(at + _DESCRIPTOR_BYTES, descriptor[9]) + 1)
        frames += 1
        if frames == 1:
            left, top, width, height = struct.unpack_from("<HHHH", descriptor, 1)
            moved = descriptor[:1] + struct.pack("<HHHH", 0, 0, width, height) + descriptor[9:]
            first = moved + content[start + _DESCRIPTOR_BYTES : at]
    if not frames:
        return Parts(content=content)
    notes = () if content[at : at + 1] == bytes((_TRAILER,)) else ("frames_unknown",)
    screen = struct.unpack_from("<HH", content, 6)
    canvas = max(screen[0], left + width), max(screen[1], top + height)
    header = tables[:6] + struct.pack("<HH", width, height) + tables[10:]
    return Parts(
        content=header + control + first + bytes((_TRAILER,) if at < len(content) else ()),
        canvas=None if canvas == (width, height) else canvas,
        offset=(left, top),
        frames=frames,
        notes=notes,
    )


def _after_table(at: int, packed: int) -> int:
    """Return where a colour table that begins at ``at`` ends, if there is one."""
    return at + (3 << (packed & 7) + 1 if packed & 0x80 else 0)


def _after_blocks(content: bytes, at: int) -> int:
    """Return where a run of data blocks ends, or the length of the content if it is cut off."""
    while at < len(content) and content[at]:
        at += content[at] + 1
    return min(at + 1, len(content))
