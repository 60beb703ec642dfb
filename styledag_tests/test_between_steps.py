from collections.abc import Callable
from typing import Any

from styledag.between_steps import asking, between_steps, done_by


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


def test_what_does_it_is_called_where_the_function_is() -> None:
    calls: list[object] = []

    def ask(function: Callable[[], Any]) -> Any:
        calls.append("asked")
        return function()

    def do(function: Callable[[], Any]) -> Any:
        calls.append("done")
        return function()

    with done_by(do):
        assert between_steps(lambda: 1) == 1
    with asking(ask), done_by(do):
        assert between_steps(lambda: 2) == 2
    assert between_steps(lambda: 3) == 3
    assert calls == ["done", "asked", "done"]
