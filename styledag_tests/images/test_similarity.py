import numpy as np
import pytest

from styledag.images import similarity
from styledag.images.similarity import comparable, count_alike, count_neighbours


def unit_rows(count: int, width: int) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_products_of_comparable_vectors_are_exact() -> None:
    vectors = comparable(unit_rows(200, 512))
    exact = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    assert np.array_equal(vectors @ vectors.T, exact)
    shuffled = np.random.default_rng(1).permutation(512)
    assert np.array_equal(vectors[:, shuffled] @ vectors[:, shuffled].T, exact)


def test_rounding_hardly_changes_similarity() -> None:
    vectors = unit_rows(100, 512)
    rounded = comparable(vectors)
    assert np.abs(rounded @ rounded.T - vectors @ vectors.T).max() < 0.002


@pytest.mark.parametrize("block_values", [1, 64, 1 << 20])
def test_counts_are_those_of_the_full_matrix(
    block_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "_BLOCK_VALUES", block_values)
    vectors = comparable(unit_rows(50, 4))
    alike = vectors @ vectors.T >= 0.5
    assert count_alike(vectors[:20], vectors, 0.5).tolist() == alike[:20].sum(axis=0).tolist()
    assert count_neighbours(vectors, 0.5).tolist() == alike.sum(axis=0).tolist()


def test_no_vectors_have_no_neighbours() -> None:
    assert count_neighbours(np.zeros((0, 4), np.float32), 0.5).tolist() == []


@pytest.mark.parametrize("families", [1, 60, 3_000])
def test_bounds_change_no_count(families: int) -> None:
    chance = np.random.default_rng(2)
    centres = chance.normal(size=(families, 100))
    rows = centres[chance.integers(0, families, 3_000)] + 0.3 * chance.normal(size=(3_000, 100))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = comparable(rows.astype(np.float32))
    products = vectors @ vectors.T
    for least in (0.5, 0.9, float(np.median(products)), float(products[0, 1:].max())):
        expected = (products >= least).sum(axis=0)
        assert count_neighbours(vectors, least).tolist() == expected.tolist()


def test_few_pairs_of_many_unlike_vectors_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    products = similarity._products

    def counted(rows: np.ndarray, firsts: np.ndarray, *others: np.ndarray) -> np.ndarray:
        nonlocal compared
        compared += len(firsts)
        return products(rows, firsts, *others)

    monkeypatch.setattr(similarity, "_products", counted)
    vectors = comparable(unit_rows(3_000, 100))
    assert count_neighbours(vectors, 0.9).tolist() == [1] * 3_000
    assert 3_000 <= compared < 45_000  # of 4.5 million
