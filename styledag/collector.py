"""Python's collector of cycles rests while many objects without cycles are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def many_objects() -> Iterator[None]:
    """Make a block or a function that makes very many rows up to twice as fast.

    The collector would look through all of them again and again and find nothing. For what ends
    soon and makes no cycles: those are not freed before its end.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
