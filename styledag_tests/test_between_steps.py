from collections.abc import Callable
from typing import Any

from styledag.between_steps import asking, between_steps


def test_a_thread_without_a_training_beside_it_does_it_itself() -> None:
    assert between_steps(lambda: 3) == 3


def test_what_is_asked_for_is_passed_on_while_the_block_runs() -> None:
    asked: list[Callable[[], Any]] = []

    def ask(function: Callable[[], Any]) -> Any:
        asked.append(function)
        return function()

    def three() -> int:
        return 3

    with asking(ask):
        assert between_steps(three) == 3
    assert between_steps(lambda: 4) == 4
    assert asked == [three]
