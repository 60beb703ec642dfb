"""Snapshots and states that a thread writes while the device takes the next steps."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from types import TracebackType
from typing import Any, TypeVar

import torch

from styledag.between_steps import asking
from styledag.errors import StyledagError

Result = TypeVar("Result")


def trains_meanwhile(device: torch.device) -> bool:
    """Return whether a device takes steps while the CPU writes; a CPU would do both at once."""
    return device.type == "cuda"


class Background:
    """One write at a time in a thread, and what is to happen after it.

    What the thread asks for by :func:`~styledag.between_steps.between_steps` is done by the thread
    in training, in :meth:`follow_up` and :meth:`finish`.

    As a context it ends with nothing under way. After an interrupt, or where the device failed,
    the write ends but nothing is received, as if the process had been killed just then.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "snapshots")
        self._under_way: tuple[Future[Any], Callable[[], None]] | None = None
        self._question: _Question | None = None
        self._given_up = False
        self._news = Event()

    def start(
        self,
        write: Callable[[], None],
        receive: Callable[[], Result],
        then: Callable[[Result], None],
        *,
        here: bool,
    ) -> None:
        """Start a write; :meth:`finish` must have ended the one before.

        Args:
            write: Writes what no step changes any more.
            receive: Is called once everything is on the disk, by the same thread; when this thread
                writes, not before the next call of :meth:`follow_up`.
            then: Is called with what ``receive`` returned, always by the thread in training.
            here: Whether this thread writes, so that the write is over on return.
        """
        if here:
            write()
            written: Future[Any] = Future()
            written.set_result(None)
            self._under_way = written, lambda: then(receive())
        else:
            written = self._pool.submit(self._run, write, receive)
            self._under_way = written, lambda: then(written.result())
            written.add_done_callback(lambda _: self._news.set())

    def follow_up(self) -> None:
        """Do what the thread waits for, and, if it has ended, what follows.

        Raises:
            StyledagError: That of the thread.
        """
        self._answer()
        if self._under_way is not None and self._under_way[0].done():
            self.finish()

    def finish(self) -> None:
        """Wait for what is under way, if anything, and do what follows.

        Raises:
            StyledagError: That of the thread.
        """
        if self._under_way is None:
            return
        written, then = self._under_way
        self._wait(written)
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
            StyledagError: That of the thread, unless the block ended in an interrupt or an error
                of the device: what was written came before the step that failed.
        """
        try:
            if error is None or isinstance(error, StyledagError):
                self.finish()
        finally:
            self._given_up = True
            while self._under_way is not None and not self._under_way[0].done():
                # Of several interrupts the first one is raised. None may leave a thread that
                # writes where the next run does.
                with suppress(BaseException):
                    self._wait(self._under_way[0])
            self._pool.shutdown()

    def _run(self, write: Callable[[], None], receive: Callable[[], Result]) -> Result:
        """Write in the thread."""
        write()
        if self._given_up:
            raise _GivenUpError
        with asking(self._ask):
            return receive()

    def _ask(self, function: Callable[[], Any]) -> Any:
        """Have the thread in training call a function; called by the other one."""
        question = _Question(function)
        self._question = question
        self._news.set()
        try:
            return question.answer.result()
        finally:
            self._question = None

    def _wait(self, written: Future[Any]) -> None:
        while not written.done():
            self._answer()
            self._news.wait()
            self._news.clear()

    def _answer(self) -> None:
        question = self._question
        if question is None or question.answer.done():
            return
        try:
            if self._given_up:
                raise _GivenUpError
            result = question.function()
        except BaseException as exc:
            question.answer.set_exception(exc)
            if not isinstance(exc, Exception):
                raise
        else:
            question.answer.set_result(result)


@dataclass(frozen=True)
class _Question:
    """What the thread waits for."""

    function: Callable[[], Any]
    answer: Future[Any] = field(default_factory=Future)


class _GivenUpError(Exception):
    """What the thread was doing is no longer wanted; raised in no other thread."""
