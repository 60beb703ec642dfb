"""How a long stage reports its progress, without knowing who listens."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Protocol

_FIRST_LINE_S, _MOST_S, _GROWTH = 15.0, 1200.0, 5.0
"""A line after so long, then whenever a fifth more time has passed, but at least every 20 minutes:
26 lines for an hour, a hundred for a day."""
_WARM_UP_S = 5.0
"""What an earlier run did comes first and at once, and predicts nothing."""
_LONG_S = 600.0


class Advance(Protocol):
    """Call it when items are done; figures (loss, images/s) stand beside the bar."""

    def __call__(self, done: int = 1, /, **figures: float) -> None:
        """Report ``done`` further items and the newest figures."""


class Progress(Protocol):
    """Somebody who shows progress: a terminal's bars, the web UI's log, or nobody."""

    def task(
        self, description: str, total: int | None, *, done: int = 0
    ) -> AbstractContextManager[Advance]:
        """Open one bar of ``total`` items (``None`` where it isn't known).

        Of these, ``done`` were done before, in no time that could predict the time left.
        """


class SilentProgress:
    """Shows nothing."""

    @contextmanager
    def task(
        self,
        description: str,  # noqa: ARG002
        total: int | None,  # noqa: ARG002
        *,
        done: int = 0,  # noqa: ARG002
    ) -> Iterator[Advance]:
        """Yield an :class:`Advance` that does nothing."""

        def advance(done: int = 1, /, **figures: float) -> None:
            del done, figures

        yield advance


class LineProgress:
    """Writes a line now and then while a task lasts, and one at its end: for logs and pipes.

    Args:
        write: Writes one line, without delay.
        subject: What the tasks belong to, such as ``ema_unet twemoji.full``; may be empty.
    """

    def __init__(self, write: Callable[[str], None], subject: str = "") -> None:
        self._write = write
        self._subject = subject

    @contextmanager
    def task(self, description: str, total: int | None, *, done: int = 0) -> Iterator[Advance]:
        """Report the state of one task at growing intervals, and how long it took."""
        subject = f"{self._subject}, " if self._subject else ""
        lines = TaskLines(f"{subject}{description}", total, done=done)

        def advance(done: int = 1, /, **figures: float) -> None:
            line = lines.advance(done, **figures)
            if line is not None:
                self._write(line)

        yield advance
        if lines.finished:
            self._write(f"{description}: {lines.finished} in {shown_time(lines.elapsed_s)}")


class TaskLines:
    """When to report a task in a line, and what the line says.

    Args:
        description: What the items are.
        total: Items altogether; ``None`` where it isn't known.
        done: Items of an earlier run among them.

    Attributes:
        total: As given; may be changed while the task runs.
        finished: Items done since the task was opened.
    """

    def __init__(self, description: str, total: int | None, *, done: int = 0) -> None:
        self.total = total
        self.finished = 0
        self._description = description
        self._done_before = done
        self._started_at = self._measured_at = time.monotonic()
        self._measured = 0
        self._due_at = self._started_at + _FIRST_LINE_S

    @property
    def elapsed_s(self) -> float:
        """Seconds since the task was opened."""
        return time.monotonic() - self._started_at

    def advance(self, done: int = 1, /, **figures: float) -> str | None:
        """Count ``done`` further items; return a line if one is due."""
        self.finished += done
        now = time.monotonic()
        elapsed_s = now - self._started_at
        line = None
        if now >= self._due_at:
            line = self._line(now, figures)
            self._due_at = now + min(max(_FIRST_LINE_S, elapsed_s / _GROWTH), _MOST_S)
        elif self._measured_at > self._started_at or elapsed_s < _WARM_UP_S:
            return None
        self._measured_at, self._measured = now, self.finished
        return line

    def _line(self, now: float, figures: dict[str, float]) -> str:
        done = self._done_before + self.finished
        of = "" if self.total is None else f" of {self.total}"
        parts = [f"{self._description}: {done}{of} in {shown_time(now - self._started_at)}"]
        newly = self.finished - self._measured
        if self.total is not None and newly:
            left_s = max(0, self.total - done) * (now - self._measured_at) / newly
            parts.append(f"{timedelta(seconds=round(left_s))} left")
        parts += [f"{name} {value:.4g}" for name, value in figures.items()]
        return ", ".join(parts)


def shown_time(seconds: float) -> str:
    """Return a duration as people read it: ``12.3 s``, or ``2:10:05`` from ten minutes on."""
    if seconds < _LONG_S:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))
