"""Pairs of perceptual hashes that differ in few bits, without a look at all pairs."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

HASH_BITS = 64

Hashes = NDArray[np.uint64]
Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]


def near_hashes(hashes: Hashes, others: Hashes, most_distance: int) -> Iterator[Pairs]:
    """Yield arrays ``(i, j)`` of the pairs with ``i < j`` that differ in few bits, each pair once.

    Of ``most_distance + 1`` bands of bits, hashes that are no further apart agree in at least one
    (Norouzi, Punjani, Fleet 2012, multi-index hashing), so only such pairs are compared.

    Args:
        hashes: The first of each pair, ``[n]``.
        others: The second, ``[n]``; the same array unless images are compared with changed ones.
        most_distance: Most bits in which the hashes of a pair differ, below 64.
    """
    of_others = others is not hashes
    values = np.concatenate([hashes, others]) if of_others else hashes
    count = len(hashes)
    bands = _bands(most_distance + 1)
    for at, band in enumerate(bands):
        order = np.argsort(values & band, kind="stable")
        keys = values[order] & band
        places = np.arange(len(order))
        # Entries of one key are side by side: compare each with its next, its second next, ...
        for offset in range(1, len(order)):
            places = places[: np.searchsorted(places, len(order) - offset)]
            places = places[keys[places] == keys[places + offset]]
            if not len(places):
                break
            one, other = order[places], order[places + offset]
            apart = values[one] ^ values[other]
            near = np.bitwise_count(apart) <= most_distance
            for earlier in bands[:at]:  # found there already
                near &= (apart & earlier) != 0
            if of_others:
                near &= (one < count) != (other < count)
            first, second = np.minimum(one, other)[near], np.maximum(one, other)[near]
            if of_others:
                second -= count
                ordered = first < second
                first, second = first[ordered], second[ordered]
            yield first, second


def _bands(count: int) -> list[np.uint64]:
    """Return masks that share out the bits of a hash, as evenly as can be."""
    edges = [HASH_BITS * at // count for at in range(count + 1)]
    return [np.uint64((1 << stop) - (1 << start)) for start, stop in pairwise(edges)]
