"""Two functions at the same time."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from styledag.models.side_by_side import SideBySide


def test_both_run_at_once_each_on_half_of_the_threads() -> None:
    torch.set_num_threads(3)
    both = threading.Barrier(2, timeout=30)

    def function() -> Tensor:
        both.wait()
        return torch.tensor(torch.get_num_threads())

    assert [int(each) for each in SideBySide().both(function, function)] == [2, 1]
    assert torch.get_num_threads() == 3
    later: list[int] = []
    new = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert later == [3]


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_gradients_are_kept_in_both_or_in_neither(mode: Callable[[], torch.no_grad]) -> None:
    torch.set_num_threads(2)
    weight = torch.ones(1, requires_grad=True)
    with mode():
        pair = SideBySide().both(lambda: 2 * weight, lambda: 3 * weight)
        expected = 2 * weight
    assert [each.requires_grad for each in pair] == [expected.requires_grad] * 2
    assert [each.is_inference() for each in pair] == [expected.is_inference()] * 2


def test_a_gradient_that_both_add_to_is_none_that_either_still_reads() -> None:
    """As in Sana's blocks: the table's gradient is a view of that of what is added to it."""
    torch.set_num_threads(2)
    table = torch.nn.Parameter(torch.zeros(2, 3))
    side_by_side = SideBySide([table])
    both = threading.Barrier(2, timeout=30)

    class AfterBothAdded(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, rows: Tensor) -> Tensor:
            return rows.clone()

        @staticmethod
        def backward(_: Any, gradient: Tensor) -> Tensor:
            both.wait()
            return gradient.clone()

    def passes(factor: float) -> Tensor:
        rows = torch.zeros(1, 6, requires_grad=True)
        own = AfterBothAdded.apply(rows).reshape(1, 2, 3)
        # What was computed last is first in the backward pass: the table's gradient.
        torch.autograd.backward((factor * (table[None] + own)).sum())
        assert rows.grad is not None
        return rows.grad

    gradients = side_by_side.both(lambda: passes(2.0), lambda: passes(3.0))
    assert [each.unique().tolist() for each in gradients] == [[2.0], [3.0]]
    assert table.grad is not None
    assert table.grad.unique().tolist() == [5.0]


@pytest.mark.parametrize("failing", ["first", "second"])
def test_an_error_is_raised_when_neither_runs_any_more(failing: str) -> None:
    torch.set_num_threads(2)
    ended = []

    def fails() -> Tensor:
        raise RuntimeError("out of memory")

    def works() -> Tensor:
        threading.Event().wait(0.05)
        ended.append(True)
        return torch.ones(1)

    with pytest.raises(RuntimeError, match="out of memory"):
        SideBySide().both(*((fails, works) if failing == "first" else (works, fails)))
    assert ended == [True]
    assert torch.get_num_threads() == 2


def test_one_thread_or_one_row_is_not_halved() -> None:
    side_by_side = SideBySide()
    torch.set_num_threads(2)
    assert side_by_side.can_halve(torch.ones(2))
    assert not side_by_side.can_halve(torch.ones(1))
    torch.set_num_threads(1)
    assert not side_by_side.can_halve(torch.ones(2))
