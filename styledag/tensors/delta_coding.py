"""The difference of two half-precision tensors as few bytes, without loss."""

import numpy as np
import torch
from torch import Tensor

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
    difference = tuned.view(torch.int16) - base.view(torch.int16)  # wraps, as decoding does
    zigzag = (difference << 1) ^ (difference >> 15)
    planes = np.ascontiguousarray(zigzag.numpy().view(np.uint8).reshape(-1, 2).T)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    return compressor.compress(planes.data)


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
    planes = np.frombuffer(content, np.uint8).reshape(2, -1)
    zigzag = torch.from_numpy(planes.T.flatten().view(np.int16))
    difference = ((zigzag >> 1) & 0x7FFF) ^ -(zigzag & 1)
    return (base.view(torch.int16) + difference).view(base.dtype)
