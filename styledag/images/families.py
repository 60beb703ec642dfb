"""Families: images that look alike, each around the one that most of them are like."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styledag.images.similarity import Float32, count_alike, count_neighbours, product_for

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """Near-duplicates by their position in the list that was searched.

    Attributes:
        medoid: The one at the centre.
        members: All of them: the medoid, then from the most to the least like it.
        similarities: To the medoid, in the same order; the first is 1.
    """

    medoid: int
    members: tuple[int, ...]
    similarities: tuple[float, ...]


def find_families(
    vectors: Float32, least: float, count: Callable[[Float32, float], Counts] = count_neighbours
) -> Iterator[Family]:
    """Yield every image's family, an image on its own being a family of one.

    The image with most others at least ``least`` alike takes them, then the same among those
    that are left. So nobody is in a family but through its centre, and likeness does not chain.
    Ties go to the earlier image: give them in an order that says nothing, such as by sha256.

    Args:
        vectors: Comparable unit vectors, ``[n, d]``.
        least: Smallest similarity to the centre.
        count: Counts the rows that each has a product of ``least`` with.
    """
    least = product_for(least)
    left, rows = np.arange(len(vectors)), vectors
    neighbours = count(rows, least)
    free = np.ones(len(left), dtype=np.bool_)
    while len(left):
        alone = free & (neighbours <= 1)
        yield from (Family(int(at), (int(at),), (1.0,)) for at in left[alone])
        free &= ~alone
        if 2 * np.count_nonzero(free) < len(left):  # copying rows each time would cost the most
            left, rows, neighbours = left[free], rows[free], neighbours[free]
            free = np.ones(len(left), dtype=np.bool_)
        if not free.any():
            return
        centre = int(np.argmax(np.where(free, neighbours, 0)))
        similarities = rows @ rows[centre]
        inside = free & (similarities >= least)
        inside[centre] = True
        yield _family(left, centre, similarities, inside)
        neighbours = neighbours - count_alike(rows[inside], rows, least)
        free &= ~inside


def _family(
    left: NDArray[np.intp], centre: int, similarities: Float32, inside: NDArray[np.bool_]
) -> Family:
    others = [int(at) for at in np.flatnonzero(inside) if at != centre]
    others.sort(key=lambda at: (-similarities[at], at))
    return Family(
        int(left[centre]),
        tuple(int(left[at]) for at in (centre, *others)),
        (1.0, *(float(similarities[at]) for at in others)),
    )
