import hashlib

from styledag.dataset.split import split_of

FAMILIES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000)]


def test_share_is_met_and_the_extremes_are_exact() -> None:
    held_out = sum(split_of(family, 0.1) == "validation" for family in FAMILIES)
    assert 150 < held_out < 250
    assert {split_of(family, 0.0) for family in FAMILIES} == {"train"}


def test_larger_share_moves_families_one_way_only() -> None:
    for family in FAMILIES:
        if split_of(family, 0.1) == "validation":
            assert split_of(family, 0.3) == "validation"


def test_split_of_a_family_never_changes() -> None:
    held_out = [family for family in "abcdefghij" if split_of(family, 0.1) == "validation"]
    assert held_out == ["c", "d", "f", "j"]
