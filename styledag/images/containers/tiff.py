"""TIFF: which range the stored samples have, as BitsPerSample and its kin state it.

TIFF 6.0, sections 3 to 8 and 19.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from styledag.errors import ImageError
from styledag.images.containers.exif import directory

_BITS, _PHOTOMETRIC, _PLANES, _COLOURS, _FORMAT = 258, 262, 284, 320, 339
_SUBFILE, _BELOW = 254, 330
_UNSIGNED = 1
_FORMAT_NAMES = {2: "signed integers", 3: "floating-point numbers", 4: "samples of no stated kind"}
_WHITE_IS_ZERO = 0
_APART = 2
_PHOTOMETRIC_NAMES = {
    0: "white-is-zero grey",
    1: "grey",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIE L*a*b*",
}


@dataclass(frozen=True)
class Samples:
    """What one pixel's samples are.

    Attributes:
        bits: Of each sample.
        photometric: TIFF's PhotometricInterpretation; -1 if it is not stated.
        formats: TIFF's SampleFormat of each sample.
        planes: TIFF's PlanarConfiguration: 2 where each sample has a plane of its own.
        colours: The palette as TIFF states it; empty without one.
    """

    bits: tuple[int, ...]
    photometric: int
    formats: tuple[int, ...]
    planes: int = 1
    colours: tuple[int, ...] = ()

    @property
    def white_is_zero(self) -> bool:
        """Whether 0 is white."""
        return self.photometric == _WHITE_IS_ZERO

    @property
    def most(self) -> int:
        """Largest value of the first sample."""
        return (1 << self.bits[0]) - 1

    def check(self) -> None:
        """Refuse samples whose range nobody states, and those that Pillow misreads.

        Raises:
            ImageError: If they are signed or floating-point numbers, or lie in planes of other
                than 8 bits (``unsupported_mode``).
        """
        other = sorted(set(self.formats) - {_UNSIGNED})
        if other:
            kind = _FORMAT_NAMES.get(other[0], f"samples of format {other[0]}")
            raise ImageError("unsupported_mode", f"is a TIFF of {kind}, which have no agreed range")
        if self.planes == _APART and len(self.bits) > 1 and set(self.bits) != {8}:
            # Pillow reads such planes as if their samples had 8 bits.
            raise ImageError("unsupported_mode", f"is a TIFF of planes of {self.bits[0]} bits")

    def palette(self) -> bytes | None:
        """Return the palette, three bytes a colour, if its writer used 8 of the 16 bits."""
        if not any(self.colours) or max(self.colours) > 255 or len(self.colours) % 3:
            return None
        count = len(self.colours) // 3
        return bytes(self.colours[at + count * band] for at in range(count) for band in range(3))


def stated_samples(tags: Mapping[int, Any]) -> Samples:
    """Return what a TIFF's tags state, with the defaults of the specification."""
    return Samples(
        bits=_integers(tags.get(_BITS, 1)),
        photometric=_integers(tags.get(_PHOTOMETRIC, -1))[0],
        formats=_integers(tags.get(_FORMAT, _UNSIGNED)),
        planes=_integers(tags.get(_PLANES, 1))[0],
        colours=_integers(tags.get(_COLOURS, ())) or (),
    )


def refuse_preview(content: bytes) -> None:
    """Refuse a camera's raw file (DNG, NEF, ARW), of which decoders open only a small preview.

    Its first directory is stated to be a reduced version, and the image is in one below it
    (TIFF 6.0, NewSubfileType; TIFF-EP and DNG, SubIFDs).

    Raises:
        ImageError: ``unsupported_format``.
    """
    tags = {entry.tag: entry.values for entry in directory(content)}
    is_reduced = any(value & 1 for value in tags.get(_SUBFILE, ())[:1])
    if is_reduced and _BELOW in tags:
        detail = "is a camera's raw file, of which only the preview opens: develop it to a TIFF"
        raise ImageError("unsupported_format", detail)


def with_black_at_zero(content: bytes) -> bytes | None:
    """Return a TIFF whose samples are stated to be black at 0, if they are white at 0; else None.

    Pillow opens more kinds of those; its pixels are then the image's negative.
    """
    for entry in directory(content):
        if entry.tag == _PHOTOMETRIC and entry.values == (_WHITE_IS_ZERO,):
            # The value is a SHORT at the left of the field's last four bytes.
            low = entry.at + (8 if content[:2] == b"II" else 9)
            return content[:low] + b"\x01" + content[low + 1 :]
    return None


def refused_tiff(content: bytes) -> ImageError | None:
    """Return why a TIFF that no decoder opens is refused, or ``None`` if its tags are unreadable.

    Args:
        content: A file that begins with TIFF's signature.
    """
    tags = {entry.tag: entry.values for entry in directory(content) if entry.values}
    if _BITS not in tags or _PHOTOMETRIC not in tags:
        return None
    samples = stated_samples(tags)
    try:
        samples.check()
    except ImageError as error:
        return error
    kind = _PHOTOMETRIC_NAMES.get(samples.photometric, f"photometric {samples.photometric}")
    bits = "+".join(str(bits) for bits in samples.bits)
    return ImageError("unsupported_mode", f"is a TIFF of {kind} with {bits} bits a pixel")


def _integers(value: Any) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(int(each) for each in value)
