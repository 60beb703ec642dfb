"""What a container's parser returns: a file of pixels alone, and what the rest said of them."""

import zlib
from dataclasses import dataclass, replace

MOST_PROFILE_BYTES = 16_000_000
"""An ICC profile that unpacks to more than this is ignored."""

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The first frame of an image file, apart from its metadata.

    Attributes:
        content: A file of the same format that has only what decides the frame's pixels.
        canvas: Size of the image where the frame covers a part of it only; the rest is transparent.
        offset: Left and upper edge of the frame on the canvas.
        frames: Images in the file, or 0 where their number cannot be read.
        orientation: EXIF orientation, 1 to 8; 0 if the file states none that can be read.
        icc_profile: The colour profile, if there is one and it can be unpacked.
        gamma: Exponent by which the samples were made of light, where no profile says so; 0 if it
            is not stated.
        is_negative: Whether ``content`` is the image's negative.
        notes: Reasons for what was ignored.
    """

    content: bytes
    canvas: Size | None = None
    offset: tuple[int, int] = (0, 0)
    frames: int = 1
    orientation: int = 0
    icc_profile: bytes | None = None
    gamma: float = 0.0
    is_negative: bool = False
    notes: tuple[str, ...] = ()

    def noting(self, *reasons: str) -> "Parts":
        """Return the same parts with further notes, each once."""
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, *reasons))))


def unpacked(packed: bytes, most_bytes: int) -> bytes | None:
    """Return what a zlib stream unpacks to; ``None`` if it is damaged or more than ``most_bytes``.

    No more than ``most_bytes`` are ever unpacked.
    """
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(packed, most_bytes)
    except zlib.error:
        return None
    return content if stream.eof else None
