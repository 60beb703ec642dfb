import numpy as np

from styledag.images.copies import Copy, Seen, find_copies, hash_distance
from styledag.images.looks import Look

SAME = np.array([[1.0, 0.0]], np.float32)
GREY, LIGHTER = "80" * 48, "81" * 47 + "a0"
FLAT = np.zeros((32, 32), np.int16)


def look(phash: int, colours: str = GREY) -> Look:
    return Look(
        phash=f"{phash:016x}", contrast=50.0, sharpness=50.0, saturation=50.0, colours=colours
    )


def seen(*looks: Look, vectors: np.ndarray | None = None) -> Seen:
    return Seen(looks, np.repeat(SAME, len(looks), axis=0) if vectors is None else vectors)


def found(images: Seen, shapes: list[np.ndarray] | None = None, **more) -> dict[int, Copy]:
    return find_copies(
        images,
        lambda at: FLAT if shapes is None else shapes[at],
        most_distance=4,
        least_similarity=0.98,
        **more,
    )


def copies(*looks: Look, vectors: np.ndarray | None = None) -> dict[int, int]:
    return {at: copy.kept for at, copy in found(seen(*looks, vectors=vectors)).items()}


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
    assert found(Seen([], SAME[:0])) == {}


def test_the_lines_must_agree() -> None:
    hand = FLAT.copy()
    hand[20, 16] = 49
    images = seen(look(0), look(0))
    assert found(images, [FLAT, hand]) == {}
    assert found(images, [FLAT, hand - 1]) == {1: Copy(0, False, 0, 1.0)}


def test_a_mirror_image_is_a_copy_where_mirrors_are_given() -> None:
    left = FLAT.copy()
    left[:, 3] = 200
    images, mirrors = seen(look(0), look(0xFFFF)), seen(look(0xFFFF), look(0b11))
    assert found(images, [left, left[:, ::-1]]) == {}
    assert found(images, [left, left[:, ::-1]], mirrors=mirrors) == {1: Copy(0, True, 2, 1.0)}
    assert found(images, [left, left], mirrors=mirrors) == {}


def test_an_image_is_no_copy_of_its_own_mirror_image() -> None:
    assert found(seen(look(0)), mirrors=seen(look(0))) == {}
