"""Which images look alike, for any number of images in bounded memory."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styledag.store.files import replaced

Float32 = NDArray[np.float32]

_STEPS = 2048
"""Steps a component is rounded to. Products of two are whole multiples of 2**-22, and their sum
stays below 2, so float32 holds it exactly: no block, thread or BLAS can change a comparison."""
_BLOCK_VALUES = 1 << 23
_MOST = 0.998
_BOUNDED_FROM, _SAMPLED, _DIRECTIONS = 2_048, 1_024, 32
_ROUNDING = 1e-4
"""More than float32 loses of a squared length, so that a bound is never below its product."""
_PRUNED_FROM = 64
"""One in so many pairs: where more have to be looked at, it is faster to look at all."""
_PAIRS_AT_ONCE = 8_192
_MOST_NEW = 1 / 16
"""Share of new images above which all are counted: it is as fast."""


def comparable(vectors: Float32, *, out: Float32 | None = None) -> Float32:
    """Return unit vectors whose products are exact in float32, whatever the order of summing.

    Args:
        vectors: L2-normalised rows, ``[n, d]``.
        out: Where they go, such as ``vectors`` itself; a new array if left out.
    """
    rounded = np.multiply(vectors, _STEPS, out=out, dtype=np.float32)
    np.round(rounded, out=rounded)
    rounded /= _STEPS
    return rounded


def product_for(similarity: float) -> float:
    """Return the product that comparable vectors of at least a similarity have.

    Rounding leaves the product of equal vectors within 0.002 of 1, so no more is asked for.
    """
    return min(similarity, _MOST)


def count_neighbours(vectors: Float32, least: float) -> NDArray[np.int64]:
    """Return for each row how many rows, itself included, it has a product of ``least`` with.

    Args:
        vectors: Comparable rows, ``[n, d]``; each product is computed once for both.
        least: Smallest product that counts.
    """
    counts = np.zeros(len(vectors), dtype=np.int64)
    bounds = _bounds(vectors)
    for start, stop in blocks(len(vectors), len(vectors)):
        rows, others = vectors[start:stop], vectors[start:]
        if bounds is not None:
            maybe = np.flatnonzero(bounds[start:stop] @ bounds[start:].T >= least)
            if len(maybe) * _PRUNED_FROM <= len(rows) * len(others):
                firsts, seconds = np.divmod(maybe, len(others))
                alike = _products(rows, firsts, others, seconds) >= least
                firsts, seconds = firsts[alike] + start, seconds[alike] + start
                counts += np.bincount(firsts, minlength=len(counts))
                beyond = seconds[seconds >= stop]
                counts += np.bincount(beyond, minlength=len(counts))
                continue
        dense = rows @ others.T >= least
        counts[start:stop] += dense.sum(axis=1)
        counts[stop:] += dense[:, stop - start :].sum(axis=0)
    return counts


def _bounds(vectors: Float32) -> Float32 | None:
    """Return short rows whose products are no smaller than those of the vectors, ``[n, 33]``.

    A vector's components along a few directions, and the length of what is left: by Cauchy and
    Schwarz the rests' product is no larger than the product of their lengths. Along the directions
    in which the vectors differ most, the bound is close.

    Returns:
        ``None`` where it would not save anything.
    """
    count, width = vectors.shape
    if count < _BOUNDED_FROM or width <= 2 * _DIRECTIONS:
        return None
    sample = vectors[:: count // _SAMPLED].astype(np.float64)
    directions = np.linalg.eigh(sample.T @ sample).eigenvectors[:, -_DIRECTIONS:]
    along = vectors @ directions.astype(np.float32)
    squares = np.einsum("nd,nd->n", vectors, vectors) - np.einsum("nd,nd->n", along, along)
    rest = np.sqrt(np.maximum(squares, 0) + _ROUNDING)
    return np.concatenate([along, rest[:, None]], axis=1)


def _products(
    rows: Float32, firsts: NDArray[np.intp], others: Float32, seconds: NDArray[np.intp]
) -> Float32:
    """Return the products of pairs of rows, a few at a time."""
    products = np.empty(len(firsts), np.float32)
    for at in range(0, len(firsts), _PAIRS_AT_ONCE):
        some = slice(at, at + _PAIRS_AT_ONCE)
        np.einsum("nd,nd->n", rows[firsts[some]], others[seconds[some]], out=products[some])
    return products


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


def remembered_neighbours(
    names: Sequence[str], vectors: Float32, least: float, *, embedder: str, file: Path | None
) -> NDArray[np.int64]:
    """Return what :func:`count_neighbours` does, and keep it.

    Args:
        names: Of the rows, sorted; a name and an embedder decide a vector.
        vectors: Comparable rows, ``[n, d]``, whose products are exact, so that no count depends on
            the way it was come by.
        least: Smallest product that counts.
        embedder: Version of what made the vectors.
        file: Where counts are kept, if anywhere; may be removed at any time.
    """
    rows, of = np.array(names, dtype=np.bytes_), f"{embedder} {least!r}"
    before = None if file is None else _read(file, of)
    if before is None:
        counts = count_neighbours(vectors, least)
    else:
        known, known_counts = before
        were = frozenset(known.tolist())
        is_new = np.array([name not in were for name in rows.tolist()], dtype=np.bool_)
        count = np.count_nonzero(is_new)
        if len(rows) - count < len(known) or count > _MOST_NEW * len(rows):
            counts = count_neighbours(vectors, least)
        else:
            new = vectors[is_new]
            counts = count_alike(new, vectors, least)
            counts[~is_new] += known_counts
            counts[is_new] = count_alike(vectors, new, least)
    if file is not None:
        _write(file, of, rows, counts)
    return counts


def _read(file: Path, of: str) -> tuple[NDArray[np.bytes_], NDArray[np.int64]] | None:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            return (kept["names"], kept["counts"]) if str(kept["of"]) == of else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(file: Path, of: str, names: NDArray[np.bytes_], counts: NDArray[np.int64]) -> None:
    with replaced(file) as partial, partial.open("wb") as opened:
        np.savez(opened, of=np.array(of), names=names, counts=counts)
