import threading
from collections.abc import Iterator

import pytest

from styledag.ahead import made_ahead


def test_results_come_in_order_whichever_is_ready_first() -> None:
    second_made = threading.Event()

    def make(item: int) -> int:
        if item == 0:
            assert second_made.wait(10)
        if item == 1:
            second_made.set()
        return 10 * item

    assert list(made_ahead(make, range(20), ahead=4, workers=2)) == [10 * at for at in range(20)]


def test_no_more_is_taken_than_may_wait() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = made_ahead(lambda item: item, items(), ahead=3)
    assert next(results) == 0
    assert len(taken) == 4
    assert next(results) == 1
    assert len(taken) == 5
    results.close()
    assert len(taken) == 5


def test_an_error_is_raised_where_its_result_was_due() -> None:
    def make(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    results = made_ahead(make, range(10), ahead=5)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_each_thread_begins_before_it_makes_anything_and_ends_with_the_results() -> None:
    begun: list[str] = []
    results = made_ahead(
        lambda _: threading.current_thread().name,
        range(1000),
        ahead=1,
        workers=1,
        begin=lambda: begun.append(threading.current_thread().name),
    )
    assert [next(results), next(results)] == begun * 2
    results.close()
    assert begun[0] not in {each.name for each in threading.enumerate()}


def test_nothing_is_made_of_nothing() -> None:
    assert not list(made_ahead(str, [], ahead=1))
