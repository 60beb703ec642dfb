"""The difference of two half-precision tensors as few bytes, without loss."""

from collections.abc import Iterator

import torch
from torch import Tensor

_PIECE_ELEMENTS = 1 << 17
_LEVEL = 1
"""Higher levels of zstd find nothing more in weights, and take longer."""


def encode_difference(tuned: Tensor, base: Tensor) -> bytes:
    """Return what turns ``base`` into ``tuned``.

    Weights that training moved a little have patterns of 16 bits that are near as integers. Their
    difference is small, its zigzag form small and not negative, and so nearly all of its high
    bytes are 0: kept apart from the low ones, they take almost no space.

    Args:
        tuned: float16 or bfloat16, flat.
        base: Of the same dtype and length.

    Returns:
        A zstd frame with its checksum: the low bytes of all numbers, then the high ones. Nothing
        if the two are the same.
    """
    import zstandard

    if tuned.view(torch.int16).equal(base.view(torch.int16)):
        return b""
    planes = torch.empty(2, tuned.numel(), dtype=torch.uint8)
    for low, high, ours, theirs in _in_cache(*planes, tuned, base):
        difference = ours.view(torch.int16) - theirs.view(torch.int16)  # wraps, as decoding does
        zigzag = (difference << 1) ^ (difference >> 15)
        low.copy_(zigzag)
        high.copy_(zigzag >> 8)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    return compressor.compress(planes.numpy().data)


def decode_difference(frame: bytes, base: Tensor) -> Tensor:
    """Return the tensor that :func:`encode_difference` was given, bit for bit.

    Args:
        frame: What it returned.
        base: What it was given as ``base``.

    Raises:
        ValueError: If the frame is damaged, or of another number of numbers.
    """
    import zstandard

    if not frame:
        return base
    try:
        size = zstandard.frame_content_size(frame)
        if size != 2 * base.numel():
            raise ValueError(f"it holds {size} bytes for {base.numel()} numbers")
        content = zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError as exc:
        raise ValueError(f"it cannot be decompressed: {exc}") from exc
    planes = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(2, -1)
    tuned = torch.empty_like(base)
    for low, high, theirs, ours in _in_cache(*planes, base, tuned):
        zigzag = (high.to(torch.int16) << 8) | low
        difference = ((zigzag >> 1) & 0x7FFF) ^ -(zigzag & 1)
        torch.add(theirs.view(torch.int16), difference, out=ours.view(torch.int16))
    return tuned


def _in_cache(*flat: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield pieces of tensors of one length, so small that what is between stays in the cache."""
    for start in range(0, flat[0].numel(), _PIECE_ELEMENTS):
        yield tuple(each[start : start + _PIECE_ELEMENTS] for each in flat)
