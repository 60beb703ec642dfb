from pathlib import Path

import pytest

from styledag.captions.agreement import (
    Agreement,
    agrees,
    compare,
    read_agreement,
    write_agreement,
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a fox", "Fox Face", True),
        ("the red apple", "Red Apple", True),
        ("an owl, asleep", "owl", True),
        ("a dog", "Fox Face", False),
        ("a red pear", "Red Apple", False),
        ("a", "the", False),
        ("", "", False),
        ("שועל", "שועל", True),
    ],
)
def test_one_has_all_words_of_the_other(one: str, other: str, expected: bool) -> None:
    assert agrees(one, other) is agrees(other, one) is expected


def test_a_comparison_is_written_and_read(tmp_path: Path) -> None:
    found = compare([("a fox", "Fox"), ("a dog", "Fox")])
    assert found == Agreement(compared=2, agree=1)
    assert read_agreement(tmp_path) is None
    write_agreement(found, tmp_path)
    assert read_agreement(tmp_path) == found
