"""How a long stage says how far it is, without knowing who listens."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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
