import numpy as np

from styledag.images.copies import find_copies, hash_distance
from styledag.images.looks import Look

SAME = np.array([[1.0, 0.0]], np.float32)
GREY, LIGHTER = "80" * 48, "81" * 47 + "a0"


def look(phash: int, colours: str = GREY) -> Look:
    return Look(phash=f"{phash:016x}", contrast=50.0, colours=colours)


def copies(*looks: Look, vectors: np.ndarray | None = None) -> dict[int, int]:
    same = np.repeat(SAME, len(looks), axis=0) if vectors is None else vectors
    return dict(find_copies(looks, same, most_distance=4, least_similarity=0.98))


def test_hashes_within_the_distance_are_copies_of_the_first() -> None:
    assert copies(look(0), look(0b1111), look(0b11111)) == {1: 0}
    assert hash_distance(look(0).phash, look(0b11111).phash) == 5


def test_the_embeddings_must_agree() -> None:
    vectors = np.array([[1.0, 0.0], [0.9, 0.436]], np.float32)
    assert copies(look(0), look(0), vectors=vectors) == {}


def test_the_colours_must_agree() -> None:
    assert copies(look(0), look(0, LIGHTER)) == {}
    assert copies(look(0), look(0, "97" * 48)) == {1: 0}


def test_a_copy_keeps_no_copies_of_its_own() -> None:
    # The third is near the second, which is gone, and far from the first.
    assert copies(look(0), look(0b1111), look(0b11111111)) == {1: 0}


def test_of_several_the_earliest_is_kept() -> None:
    assert copies(look(0), look(0xFF), look(0b1111)) == {2: 0}


def test_nothing_copies_nothing() -> None:
    assert find_copies([], SAME[:0], most_distance=4, least_similarity=0.9) == {}
