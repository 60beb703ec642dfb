"""Work of a thread beside a training that only the thread in training may do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")
Ask = Callable[[Callable[[], Any]], Any]
"""Has the thread in training call a function, and returns what that returns."""

_ask: ContextVar[Ask | None] = ContextVar("ask", default=None)


def between_steps(function: Callable[[], Result]) -> Result:
    """Return what a function returns, called between two steps of the training beside this thread.

    For what uses the device, whose memory a step may fill, and what reports to whoever shows the
    run. Without a training beside it this thread calls the function.
    """
    ask = _ask.get()
    if ask is None:
        return function()
    result: Result = ask(function)
    return result


@contextmanager
def asking(ask: Ask) -> Iterator[None]:
    """Pass what this thread asks for by :func:`between_steps` on while the block runs."""
    token = _ask.set(ask)
    try:
        yield
    finally:
        _ask.reset(token)


@contextmanager
def done_by(do: Ask) -> Iterator[None]:
    """Have a function call what is asked for while the block runs, in the thread that would."""
    outer = _ask.get()

    def ask(function: Callable[[], Any]) -> Any:
        done = partial(do, function)
        return done() if outer is None else outer(done)

    with asking(ask):
        yield
