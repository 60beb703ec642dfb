"""Copies: the same image again, byte for byte, encoded anew, or mirrored."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from styledag.images.looks import Look
from styledag.images.similarity import Float32, product_for

HASH_BITS = 64

Hashes = NDArray[np.uint64]
Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]
_MOST_COLOUR_DIFFERENCE = 24
"""Levels of 255 by which a cell's mean colour may differ between copies. Neither hash nor embedding
sees a drawing's colour well: skin tones differ by 32 and more, copies at quality 50 by 21 at the
most."""
_MOST_SHAPE_DIFFERENCE = 48
"""Levels by which one of 32 by 32 cells may differ. Emoji's clock faces that show different times
differ by 106 and more, fainter ones by 87; copies at quality 30 or of 48 px by 19 at the most. An
image whose border was cut off, so that all lines moved, differs as much as a clock: it is of the
family and no copy."""
_SHAPES_IN_MEMORY = 4_096


@dataclass(frozen=True)
class Seen:
    """Images as they are compared: their looks and comparable unit vectors, ``[n, d]``."""

    looks: Sequence[Look]
    vectors: Float32


@dataclass(frozen=True)
class Copy:
    """What an image is a copy of.

    Attributes:
        kept: Position of the image that is kept.
        mirrored: Whether it is that image's mirror image.
        hash_distance: Bits in which their hashes differ.
        similarity: Product of their vectors.
    """

    kept: int
    mirrored: bool
    hash_distance: int
    similarity: float


def find_copies(
    images: Seen,
    shape_of: Callable[[int], NDArray[np.int16]],
    *,
    most_distance: int,
    least_similarity: float,
    mirrors: Seen | None = None,
) -> dict[int, Copy]:
    """Return the copies by their position, sorted.

    An image is a copy of an earlier one that is kept itself, if their hashes, their embeddings,
    their coarse colours and their lines all agree; of several, of the earliest. Give the images in
    the order in which they deserve to be kept.

    Args:
        images: What is known of each.
        shape_of: Returns the cells of luma of the image at a position; asked for few.
        most_distance: Most bits in which the hashes of copies differ.
        least_similarity: Smallest product of the vectors of copies.
        mirrors: What is known of each image's mirror image, if those count as copies.
    """
    shapes = lru_cache(_SHAPES_IN_MEMORY)(shape_of)
    pairs = [
        (earlier, later, mirrored)
        for mirrored, others in ((False, images), (True, mirrors))
        if others is not None
        for earlier, later in _candidates(images, others, most_distance, least_similarity)
    ]
    copies: dict[int, Copy] = {}
    for earlier, later, mirrored in sorted(pairs):
        if earlier in copies or later in copies:
            continue
        shape = shapes(later)[:, ::-1] if mirrored else shapes(later)
        if np.abs(shapes(earlier) - shape).max() > _MOST_SHAPE_DIFFERENCE:
            continue
        other = mirrors if mirrored and mirrors is not None else images
        copies[later] = Copy(
            kept=earlier,
            mirrored=mirrored,
            hash_distance=hash_distance(images.looks[earlier].phash, other.looks[later].phash),
            similarity=float(images.vectors[earlier] @ other.vectors[later]),
        )
    return dict(sorted(copies.items()))


def hash_distance(one: str, other: str) -> int:
    """Return the number of bits in which two perceptual hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def near_by_hash(
    looks: Sequence[Look], others: Sequence[Look], most_distance: int
) -> NDArray[np.intp]:
    """Return the positions in ``others`` of what may copy an earlier one of ``looks``, sorted.

    Hashes and coarse colours agree; whether embeddings and lines do, has still to be seen.

    Args:
        looks: What is known of each image.
        others: What is known of each image's mirror image.
        most_distance: Most bits in which the hashes of copies differ.
    """
    found = [later for _, later in _near(looks, others, most_distance)]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.intp)


def _candidates(
    images: Seen, others: Seen, most_distance: int, least_similarity: float
) -> Iterator[tuple[int, int]]:
    """Yield pairs of positions ``(earlier, later)`` of which all but the lines agree."""
    for firsts, seconds in _near(images.looks, others.looks, most_distance):
        similarity = np.einsum("nd,nd->n", images.vectors[firsts], others.vectors[seconds])
        alike = similarity >= product_for(least_similarity)
        yield from zip(firsts[alike].tolist(), seconds[alike].tolist(), strict=True)


def _near(looks: Sequence[Look], others: Sequence[Look], most_distance: int) -> Iterator[Pairs]:
    """Yield positions of pairs whose hashes and coarse colours agree."""
    if not looks:
        return
    hashes, colours = _hashes(looks), _colours(looks)
    other_hashes, other_colours = (
        (hashes, colours) if others is looks else (_hashes(others), _colours(others))
    )
    for firsts, seconds in near_hashes(hashes, other_hashes, most_distance):
        recoloured = np.abs(colours[firsts] - other_colours[seconds]).max(axis=1, initial=0)
        alike = recoloured <= _MOST_COLOUR_DIFFERENCE
        yield firsts[alike], seconds[alike]


def _hashes(looks: Sequence[Look]) -> Hashes:
    return np.array([int(look.phash, 16) for look in looks], dtype=np.uint64)


def _colours(looks: Sequence[Look]) -> NDArray[np.int16]:
    return _bytes([look.colours for look in looks]).astype(np.int16)


def _bytes(in_hexadecimal: Sequence[str]) -> NDArray[np.uint8]:
    """Return strings of equally many hexadecimal digits as bytes, ``[n, digits / 2]``."""
    joined = np.frombuffer(bytes.fromhex("".join(in_hexadecimal)), dtype=np.uint8)
    return joined.reshape(len(in_hexadecimal), -1)


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
