"""Counts that go on from the last build's are those that counting all of them gives."""

from pathlib import Path

import numpy as np
import pytest

from styledag.images import similarity
from styledag.images.similarity import comparable, count_neighbours, remembered_neighbours

LEAST = 0.3


@pytest.fixture
def vectors() -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    return comparable(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def names(of: np.ndarray) -> list[str]:
    return [f"{at:064x} 9x9" for at in of]


def remembered(
    which: np.ndarray, vectors: np.ndarray, file: Path | None, *, embedder: str = "a"
) -> np.ndarray:
    found = remembered_neighbours(names(which), vectors[which], LEAST, embedder=embedder, file=file)
    np.testing.assert_array_equal(found, count_neighbours(vectors[which], LEAST))
    return found


@pytest.mark.parametrize(
    "later",
    [
        np.arange(100),
        np.delete(np.arange(100), [0, 50, 98]),
        np.delete(np.arange(100), 99),
        np.arange(40),
        np.arange(60, 100),
    ],
    ids=["all", "some", "first", "removed", "other"],
)
def test_new_and_removed_images_count_as_if_all_were_counted(
    vectors: np.ndarray, tmp_path: Path, later: np.ndarray
) -> None:
    file = tmp_path / "kept" / "neighbours.npz"
    remembered(np.delete(np.arange(100), [0, 50, 98, 99]), vectors, file)
    remembered(later, vectors, file)
    remembered(later, vectors, file)


def test_few_new_images_are_compared_alone(
    vectors: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "neighbours.npz"
    remembered(np.arange(1, 100), vectors, file)
    expected = count_neighbours(vectors, LEAST)

    def count_all(_vectors: np.ndarray, _least: float) -> np.ndarray:
        raise AssertionError("counted all")

    monkeypatch.setattr(similarity, "count_neighbours", count_all)
    found = remembered_neighbours(names(np.arange(100)), vectors, LEAST, embedder="a", file=file)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(AssertionError, match="counted all"):
        remembered_neighbours(names(np.arange(100)), vectors, LEAST, embedder="b", file=file)
    with pytest.raises(AssertionError, match="counted all"):
        remembered_neighbours(names(np.arange(100)), vectors, 0.4, embedder="a", file=file)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_a_lost_or_damaged_file_costs_nothing_but_time(
    vectors: np.ndarray, tmp_path: Path, damage: bytes | None
) -> None:
    file = tmp_path / "neighbours.npz"
    remembered(np.arange(99), vectors, file)
    file.write_bytes(file.read_bytes()[:-40] if damage is None else damage)
    remembered(np.arange(100), vectors, file)
    remembered(np.arange(100), vectors, None)
