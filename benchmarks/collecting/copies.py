"""Time to find copies and families among many records, whose looks are known already."""

import time
from dataclasses import dataclass

import numpy as np

from styledag.images.copies import Seen, find_copies
from styledag.images.families import find_families
from styledag.images.looks import SHAPE_CELLS, Look
from styledag.images.similarity import comparable

WIDTH = 576
"""Numbers in a vector, as ``PixelEmbedder`` gives them."""
_MOST_COPIES = 5


@dataclass(frozen=True)
class Found:
    """What was found, and the processor's time that it took."""

    copies: int
    families: int
    copies_s: float
    families_s: float


def measure(records: int) -> Found:
    """Return the time of the two searches; a tenth of the records are copies, mirrors count too.

    Args:
        records: How many.
    """
    chance = np.random.default_rng(0)
    of = np.arange(records)
    copied = chance.choice(records, records // 10, replace=False)
    of[copied] = chance.integers(0, records // _MOST_COPIES, len(copied))
    images, mirrors = _seen(chance, of), _seen(chance, of)

    def shape(at: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int16]]":
        seed = np.random.default_rng(int(of[at]))
        return seed.integers(0, 256, (SHAPE_CELLS, SHAPE_CELLS), dtype=np.int16)

    started_s = time.process_time()
    copies = find_copies(images, shape, most_distance=4, least_similarity=0.98, mirrors=mirrors)
    found_s = time.process_time()
    left = [at for at in range(records) if at not in copies]
    families = sum(1 for _ in find_families(images.vectors[left], 0.9))
    return Found(len(copies), families, found_s - started_s, time.process_time() - found_s)


def _seen(chance: np.random.Generator, of: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Seen:
    """Return random looks and vectors; equal numbers in ``of`` are equal images."""
    count = len(of)
    hashes = chance.integers(0, 2**63, count, dtype=np.int64)[of]
    colours = chance.integers(0, 256, (count, 48), dtype=np.uint8)[of]
    looks = [
        Look(f"{int(phash):016x}", 50.0, 50.0, 50.0, colour.tobytes().hex())
        for phash, colour in zip(hashes, colours, strict=True)
    ]
    vectors = chance.normal(size=(count, WIDTH)).astype(np.float32)[of]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Seen(looks, comparable(vectors))
