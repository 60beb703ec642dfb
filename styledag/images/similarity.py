"""Which images look alike, for any number of images in bounded memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

_STEPS = 2048
"""Steps a component is rounded to. Products of two are whole multiples of 2**-22, and their sum
stays below 2, so float32 holds it exactly: no block, thread or BLAS can change a comparison."""
_BLOCK_VALUES = 1 << 23
_MOST = 0.998


def comparable(vectors: Float32) -> Float32:
    """Return unit vectors whose products are exact in float32, whatever the order of summing.

    Args:
        vectors: L2-normalised rows, ``[n, d]``.
    """
    return (np.round(vectors * _STEPS) / _STEPS).astype(np.float32)


def product_for(similarity: float) -> float:
    """Return the product that comparable vectors of at least a similarity have.

    Rounding leaves the product of equal vectors within 0.002 of 1, so no more is asked for.
    """
    return min(similarity, _MOST)


def pairs_alike(
    vectors: Float32, others: Float32, least: float
) -> Iterator[tuple[NDArray[np.intp], ...]]:
    """Yield arrays ``(i, j)`` of the pairs with ``i < j`` whose product is at least ``least``.

    Args:
        vectors: Rows, ``[n, d]``, of the first of each pair.
        others: Rows, ``[n, d]``, of the second; the same rows unless images are compared with
            changed ones.
        least: Smallest product of a pair.
    """
    count = len(vectors)
    for start, stop in blocks(count, count):
        alike = vectors[start:stop] @ others[start:].T >= least
        rows, columns = np.nonzero(alike)
        above = columns > rows
        yield rows[above] + start, columns[above] + start


def count_neighbours(vectors: Float32, least: float) -> NDArray[np.int64]:
    """Return for each row how many rows, itself included, it has a product of ``least`` with.

    Args:
        vectors: Comparable rows, ``[n, d]``; each product is computed once for both.
        least: Smallest product that counts.
    """
    counts = np.zeros(len(vectors), dtype=np.int64)
    for start, stop in blocks(len(vectors), len(vectors)):
        alike = vectors[start:stop] @ vectors[start:].T >= least
        counts[start:stop] += alike.sum(axis=1)
        counts[stop:] += alike[:, stop - start :].sum(axis=0)
    return counts


def count_alike(rows: Float32, others: Float32, least: float) -> NDArray[np.int64]:
    """Return for each of ``others`` how many of ``rows`` it has a product of ``least`` with.

    Args:
        rows: Rows, ``[m, d]``.
        others: Rows, ``[n, d]``.
        least: Smallest product that counts.
    """
    counts = np.zeros(len(others), dtype=np.int64)
    for start, stop in blocks(len(rows), len(others)):
        counts += (rows[start:stop] @ others.T >= least).sum(axis=0)
    return counts


def blocks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Yield ``(start, stop)`` of blocks of rows whose products fill 32 MB at the most."""
    height = max(1, _BLOCK_VALUES // max(1, columns))
    for start in range(0, rows, height):
        yield start, min(start + height, rows)
