"""Results made by threads ahead of whoever reads them."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def made_ahead(
    make: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    ahead: int,
    workers: int | None = None,
    begin: Callable[[], None] | None = None,
) -> Generator[Result, None, None]:
    """Yield what is made of each item, in order, while threads make what follows.

    An error is raised where its result was due.

    Args:
        make: Makes one result; called by several threads at once.
        items: Taken as results are yielded, not all at once.
        ahead: Most results that wait or are being made; above 0.
        workers: Threads; as many as there are processors, and some, when left out.
        begin: Called by each thread before it makes anything.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, "ahead", initializer=begin) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
