import threading
from collections.abc import Callable
from functools import partial

import pytest

from styledag.training.prefetch import prefetched


def made(count: int, said: list[int]) -> list[Callable[[], int]]:
    def make(number: int) -> int:
        said.append(number)
        return number

    return [partial(make, number) for number in range(count)]


def threads() -> int:
    return sum(each.name == "styledag-prefetch" for each in threading.enumerate())


def test_results_come_in_order_and_no_further_ahead_than_allowed() -> None:
    said: list[int] = []
    results = prefetched(made(50, said), ahead=2)
    for number in range(50):
        assert next(results) == number
        assert len(said) <= number + 1 + 2 + 1  # taken, waiting, and one that waits to wait
    with pytest.raises(StopIteration):
        next(results)
    assert said == list(range(50))
    assert not threads()


def test_an_error_is_raised_where_its_item_was_due() -> None:
    def fail() -> int:
        raise ValueError("damaged row")

    results = prefetched([lambda: 1, fail, lambda: 3])
    assert next(results) == 1
    with pytest.raises(ValueError, match="damaged row"):
        next(results)
    assert not threads()


def test_thread_ends_when_nobody_asks_any_more() -> None:
    said: list[int] = []
    results = prefetched(made(1000, said), ahead=1)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert not threads()
    assert len(said) < 10
