"""Subjects, their names and how captions speak of them."""

import pytest
import torch

from tools.starter.drawings import Emoji, code_of
from tools.starter.subjects import choose_subjects, with_article
from tools.starter.wording import MANNERS, caption


def _emoji(name: str, *short: str, category: str = "Food & Drink", code: str = "1f34e") -> Emoji:
    return Emoji(code, name, short or (name,), category, "food-fruit")


def test_subjects_have_plain_names_and_keep_the_others() -> None:
    (apple,) = choose_subjects((_emoji("red apple", "apple"),))
    assert apple.name == "apple"
    assert apple.names == ("apple", "red apple")
    assert apple.head_nouns == {"apple"}


def test_signs_and_flags_are_left_out() -> None:
    rows = (
        _emoji("clock face one oclock", category="Travel & Places"),
        _emoji("western sahara flag", category="Flags"),
        _emoji("rocket", category="Travel & Places"),
    )
    assert [subject.name for subject in choose_subjects(rows)] == ["rocket"]


def test_a_plain_name_belongs_to_one_subject() -> None:
    rows = (_emoji("bus", "bus"), _emoji("oncoming bus", "bus"))
    first, second = choose_subjects(rows)
    assert first.names == ("bus",)
    assert "bus" not in second.names


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("octopus", "an octopus"),
        ("rocket", "a rocket"),
        ("unicorn face", "a unicorn face"),
        ("cherries", "cherries"),
    ],
)
def test_names_take_their_article(name: str, spoken: str) -> None:
    assert with_article(name) == spoken


def test_captions_name_the_manner_when_told_to() -> None:
    (subject,) = choose_subjects((_emoji("banana"),))
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        assert caption(subject, MANNERS[1], generator, named=True).startswith("a 3d render of ")
        assert "render" not in caption(subject, MANNERS[1], generator, named=False)


def test_codes_are_compared_without_selectors() -> None:
    assert code_of("2764-FE0F-200D-1F525") == code_of("2764-200d-1f525")
