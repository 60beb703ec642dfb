"""How many images each is like, from the counts of the last build where few images are new."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styledag.images.similarity import Float32, count_alike, count_neighbours
from styledag.store.files import replaced

_MOST_NEW = 1 / 16
"""Share of new images above which all are counted: it is as fast."""


def remembered_neighbours(
    names: Sequence[str], vectors: Float32, least: float, *, embedder: str, file: Path | None
) -> NDArray[np.int64]:
    """Return what :func:`~styledag.images.similarity.count_neighbours` does, and keep it.

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
