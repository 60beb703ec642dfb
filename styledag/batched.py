"""Items in lists of as many as are taken at once."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of a size, the last of what is left, as Python 3.12's ``itertools`` does."""
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch
