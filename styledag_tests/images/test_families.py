import numpy as np
import pytest

from styledag.images.families import Family, find_families
from styledag.images.similarity import comparable


def on_circle(*degrees: float) -> np.ndarray:
    """Unit vectors whose similarity is the cosine of the angle between them."""
    angles = np.deg2rad(degrees)
    return comparable(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))


def members(found: list[Family]) -> set[tuple[int, ...]]:
    return {tuple(sorted(family.members)) for family in found}


def test_likeness_does_not_chain() -> None:
    # Each is like the next (10 degrees, 0.985), but only the middle one is like both its sides.
    found = list(find_families(on_circle(0, 10, 20, 30, 40), 0.98))
    assert members(found) == {(0, 1, 2), (3, 4)}


def test_the_one_most_are_like_is_the_centre() -> None:
    found = list(find_families(on_circle(8, 0, 16, 200), 0.98))
    assert members(found) == {(0, 1, 2), (3,)}
    family = next(each for each in found if len(each.members) == 3)
    assert family.medoid == family.members[0] == 0
    assert family.similarities[0] == 1.0
    assert list(family.similarities) == sorted(family.similarities, reverse=True)


def test_everybody_is_in_just_one_family_and_near_its_centre() -> None:
    random = np.random.default_rng(3)
    vectors = comparable(on_circle(*random.uniform(0, 360, 200)))
    found = list(find_families(vectors, 0.99))
    assert sorted(each for family in found for each in family.members) == list(range(200))
    for family in found:
        for member in family.members[1:]:
            assert vectors[member] @ vectors[family.medoid] >= 0.99


def test_centres_are_not_alike() -> None:
    random = np.random.default_rng(4)
    vectors = comparable(on_circle(*random.uniform(0, 360, 100)))
    centres = vectors[[family.medoid for family in find_families(vectors, 0.9)]]
    assert (centres @ centres.T - 2 * np.eye(len(centres))).max() < 0.9


def test_ties_go_to_the_earlier_one() -> None:
    (pair,) = find_families(on_circle(0, 3), 0.9)
    assert pair.members == (0, 1)


@pytest.mark.parametrize("least", [0.5, 1.0])
def test_equal_images_are_a_family_however_much_is_asked(least: float) -> None:
    assert members(list(find_families(on_circle(33, 33, 33), least))) == {(0, 1, 2)}


def test_nobody_has_no_family() -> None:
    assert list(find_families(np.zeros((0, 2), np.float32), 0.9)) == []
