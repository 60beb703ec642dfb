"""An interrupt ends a block, at the second time if a library swallowed the first."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from styledag.defs import interrupts
from styledag.defs.interrupts import lasting_interrupts


@pytest.fixture(autouse=True)
def _handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(interrupts, "_AGAIN_S", 0.5)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ask_to_end(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_was_swallowed_comes_again(number: signal.Signals) -> None:
    swallowed = []

    def swallow_one() -> None:
        try:
            ask_to_end(number)
        except KeyboardInterrupt as exc:
            swallowed.append(exc)
        time.sleep(10)

    with pytest.raises(KeyboardInterrupt), lasting_interrupts():
        swallow_one()
    assert len(swallowed) == 1


def test_none_comes_after_the_block_has_ended() -> None:
    with pytest.raises(KeyboardInterrupt), lasting_interrupts():
        ask_to_end(signal.SIGINT)
    time.sleep(0.8)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "interrupts" not in [each.name for each in threading.enumerate()]


def test_a_repetition_that_is_on_its_way_when_the_block_ends_does_not_reach_what_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a machine where the thread that repeats it waits long for its turn."""
    begun = threading.Event()
    kill = os.kill

    def late(pid: int, number: int) -> None:
        begun.set()
        time.sleep(0.5)
        kill(pid, number)

    def end_late() -> None:
        try:
            ask_to_end(signal.SIGINT)
        finally:
            monkeypatch.setattr(interrupts.os, "kill", late)
            begun.wait()

    with pytest.raises(KeyboardInterrupt), lasting_interrupts():
        end_late()
    try:
        time.sleep(1.0)
    except KeyboardInterrupt:
        pytest.fail("an interrupt reached what follows")


def test_an_interrupt_during_the_end_of_the_block_leaves_no_repetition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second one can be raised where the block ends, in front of anything that ends the first."""

    class Interrupted(threading.Event):
        def set(self) -> None:
            if not self.is_set() and not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            super().set()

    interrupted: list[bool] = []
    monkeypatch.setattr(
        interrupts, "threading", SimpleNamespace(**{**vars(threading), "Event": Interrupted})
    )
    with pytest.raises(KeyboardInterrupt), lasting_interrupts():
        ask_to_end(signal.SIGINT)
    assert interrupted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "interrupts" not in [each.name for each in threading.enumerate()]
