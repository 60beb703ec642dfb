"""One request at a time to each host, and several hosts at once."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import NoReturn, TypeVar

from styledag.collect.web.addresses import parts_of
from styledag.collect.web.waiting import Pace
from styledag.errors import FetchError
from styledag.progress import Advance

HOSTS_AT_ONCE = 8
MOST_FAILURES = 5
"""Addresses in a row that a host fails to answer, each with all retries, before it is given up."""

Result = TypeVar("Result")


class HostTurns:
    """Who may ask a host now, and which hosts have been given up."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._locks: dict[str, threading.Lock] = {}
        self._failures: Counter[str] = Counter()

    @contextmanager
    def turn(self, host: str, delay_s: float) -> Iterator[None]:
        """Wait until nobody else asks the host, and until its delay is over."""
        with self._locks.setdefault(host, threading.Lock()):
            self._pace.wait(host, delay_s)
            yield

    def note(self, host: str, *, has_failed: bool, is_final: bool = False) -> None:
        """Count the failures in a row of a host; give it up at once if it is final."""
        failures = self._failures[host] + 1 if has_failed else 0
        self._failures[host] = MOST_FAILURES if is_final else failures

    def check(self, host: str) -> None:
        """Raise an error for a host that has failed too often.

        Raises:
            FetchError: ``host_given_up``.
        """
        if self._failures[host] >= MOST_FAILURES:
            raise FetchError(
                "host_given_up",
                f"{host} did not answer several requests in a row, asks to wait, or for a browser",
            )


def one_at_a_time(advance: Advance) -> Advance:
    """Return the same progress for several threads to report to."""
    lock = threading.Lock()

    def advance_alone(done: int = 1, /, **figures: float) -> None:
        with lock:
            advance(done, **figures)

    return advance_alone


def fetch_by_host(
    urls: Sequence[str], fetch: Callable[[int], Callable[[], Result]], done: Callable[[], None]
) -> list[Result | FetchError]:
    """Return what is made of each URL, in order, or its error.

    Args:
        urls: Absolute addresses; those of one host are fetched one after the other.
        fetch: Fetches the URL at an index, and returns what makes the result of it, which is
            called while the host's next URL is fetched; both are called in several threads.
        done: Called after each, in several threads.
    """
    results: dict[int, Result | FetchError] = {}
    queues: dict[str, list[int]] = {}
    for at, url in enumerate(urls):
        queues.setdefault(_host(url), []).append(at)
    stopped = threading.Event()

    def start(at: int) -> Callable[[], None]:
        try:
            make = fetch(at)
        except FetchError as exc:
            make = partial(_fail, exc)
        return partial(finish, at, make)

    def finish(at: int, make: Callable[[], Result]) -> None:
        try:
            results[at] = make()
        except FetchError as exc:
            results[at] = exc
        done()

    work = partial(_in_turn, start=start, stopped=stopped)
    if len(queues) < 2:
        for queue in queues.values():
            work(queue)
        return [results[at] for at in range(len(urls))]
    with ThreadPoolExecutor(min(HOSTS_AT_ONCE, len(queues)), "fetch") as pool:
        try:
            for _ in pool.map(work, queues.values()):
                pass
        except BaseException:
            # Everybody stops at the next address; what was received is kept.
            stopped.set()
            raise
    return [results[at] for at in range(len(urls))]


def _in_turn(
    queue: Sequence[int], *, start: Callable[[int], Callable[[], None]], stopped: threading.Event
) -> None:
    """Start one after the other, and finish each while the next is started."""
    with ThreadPoolExecutor(1, "finish") as finisher:
        finishing: Future[None] | None = None
        for at in queue:
            if stopped.is_set():
                return
            finish = start(at)
            # One body waits at the most, so that memory does not grow with their number.
            if finishing is not None:
                finishing.result()
            finishing = finisher.submit(finish)
        if finishing is not None:
            finishing.result()


def _fail(error: FetchError) -> NoReturn:
    raise error


def _host(url: str) -> str:
    return parts_of(url).netloc.lower()
