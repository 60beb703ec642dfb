import threading
from typing import Any

import pytest

from styledag.between_steps import between_steps
from styledag.errors import StorageError
from styledag.training.snapshots.background import Background


def nothing() -> None:
    pass


def test_what_follows_a_write_is_done_once_by_the_thread_that_asked() -> None:
    may_end = threading.Event()
    threads: list[threading.Thread] = []
    follows: list[threading.Thread] = []
    with Background() as writes:

        def write() -> None:
            may_end.wait()
            threads.append(threading.current_thread())

        writes.start(
            write,
            threading.current_thread,
            lambda each: follows.extend((each, threading.current_thread())),
            here=False,
        )
        writes.follow_up()
        assert not follows
        may_end.set()
        writes.finish()
        writes.follow_up()
        writes.finish()
    assert follows == [*threads, threading.current_thread()]
    assert threads != [threading.current_thread()]


def test_write_that_fails_is_followed_by_nothing() -> None:
    followed: list[None] = []

    def fail() -> None:
        raise StorageError("full")

    def run(*, finished: bool) -> None:
        with Background() as writes:
            writes.start(fail, lambda: None, followed.append, here=False)
            if finished:
                writes.finish()

    for finished in (True, False):
        with pytest.raises(StorageError, match="full"):
            run(finished=finished)
    assert not followed


class Cut:
    """A training that is cut off while a thread writes."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.ended: list[str] = []

    def run(self, error: BaseException) -> None:
        with Background() as writes:
            writes.start(self._write, lambda: "received", self.ended.append, here=False)
            raise error

    def _write(self) -> None:
        self.may_end.wait()
        self.ended.append("written")


def test_interrupts_end_no_write_and_the_first_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Cut()
    more = iter([KeyboardInterrupt("second"), KeyboardInterrupt("third")])
    wait = Background._wait

    def interrupted(writes: Background, written: Any) -> None:
        for interrupt in more:
            raise interrupt
        cut.may_end.set()
        wait(writes, written)

    monkeypatch.setattr(Background, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt, match="first"):
        cut.run(KeyboardInterrupt("first"))
    assert cut.ended == ["written"]


@pytest.mark.parametrize("error", [RuntimeError("CUDA error"), MemoryError()], ids=str)
def test_where_the_device_failed_the_write_ends_and_nothing_follows_it(error: Exception) -> None:
    cut = Cut()
    cut.may_end.set()
    with pytest.raises(type(error)):
        cut.run(error)
    assert cut.ended == ["written"]


def test_what_the_receiver_asks_for_is_done_by_the_thread_in_training() -> None:
    threads: list[threading.Thread] = []
    asked = threading.Event()

    def receive() -> threading.Thread:
        asked.set()
        return between_steps(threading.current_thread)

    with Background() as writes:
        for finish in (writes.finish, writes.follow_up):
            asked.clear()
            before = len(threads)
            writes.start(lambda: None, receive, threads.append, here=False)
            asked.wait()
            while len(threads) == before:
                finish()
    assert threads == [threading.current_thread()] * 2


def test_error_of_what_was_asked_for_is_that_of_the_receiver() -> None:
    def fail() -> None:
        raise StorageError("full")

    received: list[str] = []

    def receive() -> None:
        try:
            between_steps(fail)
        finally:
            received.append("left as it was")

    def run() -> None:
        with Background() as writes:
            writes.start(lambda: None, receive, lambda _: received.append("followed"), here=False)

    with pytest.raises(StorageError, match="full"):
        run()
    assert received == ["left as it was"]


def test_receiver_that_waits_for_a_training_that_was_cut_is_refused() -> None:
    received: list[str] = []
    waits = threading.Event()

    def receive() -> None:
        waits.set()
        between_steps(lambda: received.append("asked for"))
        received.append("received")

    def run() -> None:
        with Background() as writes:
            writes.start(lambda: None, receive, received.append, here=False)
            waits.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not received
