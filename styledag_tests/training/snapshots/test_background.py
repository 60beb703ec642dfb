import threading
from typing import Any

import pytest

from styledag.errors import StorageError
from styledag.training.snapshots import background
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

        writes.start(write, lambda: follows.append(threading.current_thread()), here=False)
        writes.follow_up()
        assert not follows
        may_end.set()
        writes.finish()
        writes.follow_up()
        writes.finish()
    assert follows == [threading.current_thread()]
    assert threads != follows


def test_write_that_fails_is_followed_by_nothing() -> None:
    followed: list[None] = []

    def fail() -> None:
        raise StorageError("full")

    def run(*, finished: bool) -> None:
        with Background() as writes:
            writes.start(fail, lambda: followed.append(None), here=False)
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
            writes.start(self._write, lambda: self.ended.append("followed"), here=False)
            raise error

    def _write(self) -> None:
        self.may_end.wait()
        self.ended.append("written")


def test_interrupts_end_no_write_and_the_first_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Cut()
    more = iter([KeyboardInterrupt("second"), KeyboardInterrupt("third")])
    wait = background.wait

    def interrupted(futures: list[Any]) -> None:
        for interrupt in more:
            raise interrupt
        cut.may_end.set()
        wait(futures)

    monkeypatch.setattr(background, "wait", interrupted)
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
