"""Copies: the same image again, byte for byte or encoded anew."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from styledag.images.looks import HASH_BITS, Look
from styledag.images.similarity import Float32, pairs_alike, product_for

_MOST_COLOUR_DIFFERENCE = 24
"""Levels of 255 by which a cell's mean colour may differ between copies. Neither hash nor embedding
sees a drawing's colour well: skin tones differ by 32 and more, copies at quality 50, or with a
border of one pixel in 72 cut off, by 21 at the most."""


def find_copies(
    looks: Sequence[Look],
    vectors: Float32,
    *,
    most_distance: int,
    least_similarity: float,
) -> Mapping[int, int]:
    """Return the positions of copies, each with the position of the image that is kept.

    An image is a copy of an earlier one that is kept itself, if their hashes, their embeddings
    and their coarse colours all say so; of several, of the earliest. Give the images in the
    order in which they deserve to be kept.

    Args:
        looks: What was measured on each.
        vectors: Comparable unit vectors, ``[n, d]``.
        most_distance: Most bits in which the hashes of copies differ.
        least_similarity: Smallest product of the vectors of copies.
    """
    kept_by: dict[int, int] = {}
    for earlier, later in _candidates(looks, vectors, most_distance, least_similarity):
        if earlier not in kept_by:
            kept_by.setdefault(later, earlier)
    return kept_by


def hash_distance(one: str, other: str) -> int:
    """Return the number of bits in which two perceptual hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _candidates(
    looks: Sequence[Look], vectors: Float32, most_distance: int, least_similarity: float
) -> Iterator[tuple[int, int]]:
    """Yield pairs of positions ``(earlier, later)``, sorted by the earlier one."""
    if not looks:
        return
    signs = _unit_signs(looks)
    colours = _bytes([look.colours for look in looks]).astype(np.int16)
    # Of two unit vectors of +-1/8, each bit that differs takes 2/64 off the product.
    least = 1 - 2 * (most_distance + 0.5) / HASH_BITS
    for firsts, seconds in pairs_alike(signs, least):
        similarity = np.einsum("nd,nd->n", vectors[firsts], vectors[seconds])
        recoloured = np.abs(colours[firsts] - colours[seconds]).max(axis=1, initial=0)
        alike = similarity >= product_for(least_similarity)
        alike &= recoloured <= _MOST_COLOUR_DIFFERENCE
        yield from zip(firsts[alike].tolist(), seconds[alike].tolist(), strict=True)


def _unit_signs(looks: Sequence[Look]) -> Float32:
    """Return the hashes' bits as -1/8 and 1/8, ``[n, 64]``: vectors of length 1."""
    bits = np.unpackbits(_bytes([look.phash for look in looks]), axis=1)
    signs: Float32 = bits.astype(np.float32) * 2 - 1
    return signs / np.float32(sqrt(HASH_BITS))


def _bytes(in_hexadecimal: Sequence[str]) -> NDArray[np.uint8]:
    """Return strings of equally many hexadecimal digits as bytes, ``[n, digits / 2]``."""
    joined = np.frombuffer(bytes.fromhex("".join(in_hexadecimal)), dtype=np.uint8)
    return joined.reshape(len(in_hexadecimal), -1)
