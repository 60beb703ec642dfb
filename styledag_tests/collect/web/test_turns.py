"""One host is asked for one thing at a time, and what came is worked on meanwhile."""

import threading
from collections.abc import Callable

import pytest

from styledag.collect.web.turns import fetch_by_host
from styledag.errors import FetchError

URLS = [f"http://{host}/{at}" for at in range(6) for host in ("a.test", "b.test")]


def test_results_come_in_order_with_the_errors_of_either_step() -> None:
    done: list[None] = []

    def fetch(at: int) -> Callable[[], int]:
        if at % 4 == 1:
            raise FetchError("http_404", "gone")

        def make() -> int:
            if at % 4 == 2:
                raise FetchError("not_an_image", "text")
            return at

        return make

    for urls in (URLS, URLS[::2]):
        done.clear()
        results = fetch_by_host(urls, fetch, lambda: done.append(None))
        told = [each.reason if isinstance(each, FetchError) else each for each in results]
        expected = [0, "http_404", "not_an_image", 3, 4, "http_404", "not_an_image", 7, 8]
        assert told == [*expected, "http_404", "not_an_image", 11][: len(urls)]
        assert len(done) == len(urls)


def test_the_next_is_fetched_while_the_last_is_worked_on() -> None:
    asked = [threading.Event() for _ in range(3)]

    def fetch(at: int) -> Callable[[], bool]:
        asked[at].set()
        # Ends only once the next has been asked for.
        return lambda: asked[min(at + 1, 2)].wait(20)

    assert fetch_by_host(URLS[:6:2], fetch, lambda: None) == [True] * 3


def test_no_more_than_one_body_waits_for_its_work() -> None:
    waiting, most, lock = 0, 0, threading.Lock()

    def fetch(_at: int) -> Callable[[], None]:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)

        def make() -> None:
            nonlocal waiting
            with lock:
                waiting -= 1

        return make

    fetch_by_host(["http://a.test/"] * 300, fetch, lambda: None)
    assert most <= 2


@pytest.mark.parametrize("urls", [URLS, URLS[::2]])
def test_an_error_of_this_machine_stops_all(urls: list[str]) -> None:
    asked: list[int] = []

    def fetch(at: int) -> Callable[[], None]:
        asked.append(at)

        def make() -> None:
            raise OSError("full")

        return make

    with pytest.raises(OSError, match="full"):
        fetch_by_host(urls, fetch, lambda: None)
    assert len(asked) < len(urls)
