"""Training on the CPU that writes in a thread, as on a GPU."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import safetensors.torch

from styledag.training.snapshots import saving
from styledag.training.snapshots.background import Background
from styledag.training.states import state

_TIMEOUT_S = 60


class SlowDisk:
    """A disk on which a thread's write ends only after a step that was taken meanwhile.

    It is the progress of the training too, from which it knows the steps.

    Attributes:
        events: Steps and writes in the order in which they ended.
        here: Of each write, whether the training waited for it.
        at_step: Is called with the number of each step when it is done.
    """

    def __init__(self) -> None:
        self.events: list[str] = []
        self.here: list[bool] = []
        self.at_step: Callable[[int], None] = lambda _: None
        self._done = 0
        self._asked_at = 0
        self._changed = threading.Condition()

    def task(self, description: str, total: int | None, *, done: int = 0) -> Any:
        del description, total
        self._done = done

        def advance(count: int = 1, /, **figures: float) -> None:
            with self._changed:
                self._done += count
                self.events.append(f"step {self._done}")
                self._changed.notify_all()
            self.at_step(self._done)

        return nullcontext(advance)

    def noting(self, start: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*args: Any, here: bool) -> None:
            self.here.append(here)
            self._asked_at = self._done
            start(*args, here=here)

        return wrapped

    def slow(self, write: Callable[..., Any], name: str) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> None:
            if threading.current_thread() is not threading.main_thread():
                with self._changed:
                    met = self._changed.wait_for(lambda: self._done > self._asked_at, _TIMEOUT_S)
                assert met, "no step was taken while a thread wrote"
            write(*args, **kwargs)
            self.events.append(name)

        return wrapped


@pytest.fixture
def in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write in a thread wherever there is a next step, as on a GPU."""
    monkeypatch.setattr(saving, "trains_meanwhile", lambda _: True)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    """Make the disk slow, so that what is written has been trained on meanwhile."""
    disk = SlowDisk()
    monkeypatch.setattr(Background, "start", disk.noting(Background.start))
    for owner, name, what in (
        (safetensors.torch, "save_file", "snapshot"),
        (state, "write_tensors", "state"),
    ):
        monkeypatch.setattr(owner, name, disk.slow(getattr(owner, name), what))
    return disk
