"""Snapshots and states that a thread writes while the device takes the next steps."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from types import TracebackType

import torch

from styledag.errors import StyledagError


def trains_meanwhile(device: torch.device) -> bool:
    """Return whether a device takes steps while the CPU writes; a CPU would do both at once."""
    return device.type == "cuda"


class Background:
    """One write at a time, and what follows it.

    A thread writes files and does nothing else. What follows a write is done by the thread that
    trains, between two steps: a snapshot's receiver draws on the device and reports to whoever
    shows the run, and neither is for two threads at once.

    As a context it ends with nothing under way. After an interrupt, or where the device failed,
    the write ends but nothing follows it, as if the process had been killed just then.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "snapshots")
        self._under_way: tuple[Future[None], Callable[[], None]] | None = None

    def start(self, write: Callable[[], None], then: Callable[[], None], *, here: bool) -> None:
        """Start a write; :meth:`finish` must have ended the one before.

        Args:
            write: Writes what no step changes any more.
            then: What follows, once everything is on the disk.
            here: Whether this thread writes, so that the write is over on return.
        """
        if here:
            write()
            written: Future[None] = Future()
            written.set_result(None)
        else:
            written = self._pool.submit(write)
        self._under_way = written, then

    def follow_up(self) -> None:
        """Do what follows a write, if it is over.

        Raises:
            StyledagError: That of the write.
        """
        if self._under_way is not None and self._under_way[0].done():
            self.finish()

    def finish(self) -> None:
        """Wait for the write under way, if any, and do what follows it.

        Raises:
            StyledagError: That of the write.
        """
        if self._under_way is None:
            return
        written, then = self._under_way
        wait([written])
        self._under_way = None
        written.result()
        then()

    def __enter__(self) -> "Background":
        """Begin with nothing under way."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End what is under way.

        Raises:
            StyledagError: That of the write, unless the block ended in an interrupt or an error of
                the device: it was to come first.
        """
        try:
            if error is None or isinstance(error, StyledagError):
                self.finish()
        finally:
            while self._under_way is not None and not self._under_way[0].done():
                # Of several interrupts the first one is raised. None may leave a thread that
                # writes where the next run does.
                with suppress(BaseException):
                    wait([self._under_way[0]])
            self._pool.shutdown()
