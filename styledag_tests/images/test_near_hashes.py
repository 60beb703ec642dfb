import numpy as np
import pytest

from styledag.images.copies import near_hashes


def hashes(count: int, seed: int) -> np.ndarray:
    """Return hashes of which many are a few bits from one another."""
    chance = np.random.default_rng(seed)
    centres = chance.integers(0, 2**64, 8, dtype=np.uint64)
    found = centres[chance.integers(0, 8, count)]
    for _ in range(3):
        found = found ^ (np.uint64(1) << chance.integers(0, 64, count).astype(np.uint64))
    return np.concatenate([found[: count - 20], found[:20]])


def pairs(one: np.ndarray, other: np.ndarray, most: int) -> list[tuple[int, int]]:
    return [
        pair
        for firsts, seconds in near_hashes(one, other, most)
        for pair in zip(firsts.tolist(), seconds.tolist(), strict=True)
    ]


def distance(one: np.uint64, other: np.uint64) -> int:
    return (int(one) ^ int(other)).bit_count()


@pytest.mark.parametrize("most", [0, 1, 4, 7, 16, 63])
def test_pairs_are_those_of_comparing_all_each_once(most: int) -> None:
    some = hashes(120, 0)
    expected = [
        (i, j) for i in range(120) for j in range(i + 1, 120) if distance(some[i], some[j]) <= most
    ]
    assert sorted(pairs(some, some, most)) == expected
    assert expected


@pytest.mark.parametrize("most", [0, 4, 16])
def test_pairs_with_others_are_those_before_them(most: int) -> None:
    some, others = hashes(120, 0), np.roll(hashes(120, 0), 7)
    expected = [
        (i, j)
        for i in range(120)
        for j in range(i + 1, 120)
        if distance(some[i], others[j]) <= most
    ]
    assert sorted(pairs(some, others, most)) == expected
    assert expected


def test_equal_hashes_are_all_found() -> None:
    same = np.full(50, 2**64 - 1, np.uint64)
    assert len(pairs(same, same, 4)) == 50 * 49 // 2


def test_no_hash_has_no_pair() -> None:
    none = np.zeros(0, np.uint64)
    assert pairs(none, none, 4) == pairs(none, none.copy(), 4) == []


def test_few_of_many_unlike_hashes_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    count = np.bitwise_count

    def counted(values: np.ndarray) -> np.ndarray:
        nonlocal compared
        compared += len(values)
        return count(values)

    monkeypatch.setattr(np, "bitwise_count", counted)
    many = np.random.default_rng(1).integers(0, 2**64, 20_000, dtype=np.uint64)
    pairs(many, many, 4)
    assert compared < 1_000_000  # of 200 million
