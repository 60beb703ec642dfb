import numpy as np
import pytest

from styledag.images import similarity
from styledag.images.similarity import comparable, count_alike, count_neighbours, pairs_alike


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
def test_pairs_and_counts_are_those_of_the_full_matrix(
    block_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "_BLOCK_VALUES", block_values)
    vectors = comparable(unit_rows(50, 4))
    alike = vectors @ vectors.T >= 0.5
    expected = {(i, j) for i, j in np.argwhere(alike).tolist() if i < j}
    found = [
        pair
        for firsts, seconds in pairs_alike(vectors, vectors, 0.5)
        for pair in zip(firsts.tolist(), seconds.tolist(), strict=True)
    ]
    assert found == sorted(expected)
    assert count_alike(vectors[:20], vectors, 0.5).tolist() == alike[:20].sum(axis=0).tolist()
    assert count_neighbours(vectors, 0.5).tolist() == alike.sum(axis=0).tolist()


def test_no_vectors_have_no_pairs() -> None:
    empty = np.zeros((0, 4), np.float32)
    assert list(pairs_alike(empty, empty, 0.5)) == []


def test_pairs_with_other_rows_are_those_before_them() -> None:
    vectors, others = unit_rows(40, 6), unit_rows(40, 6)[::-1].copy()
    found = [
        pair
        for firsts, seconds in pairs_alike(vectors, others, 0.6)
        for pair in zip(firsts.tolist(), seconds.tolist(), strict=True)
    ]
    products = vectors @ others.T
    expected = [(i, j) for i in range(40) for j in range(i + 1, 40) if products[i, j] >= 0.6]
    assert found == expected
    assert expected
