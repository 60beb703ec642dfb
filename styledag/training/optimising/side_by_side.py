"""The two halves of a batch at the same time, each on half of a CPU's threads.

One pass over a whole batch has all threads wait for each other after every operator, of which a
pass has thousands and most are short. Two passes that share nothing but the weights never wait.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch
from torch import Tensor

from styledag.training.batches import Batch


class SideBySide:
    """Calls a function with each half of a batch, in two threads.

    The halves' gradients may be added to those of the weights in either order: a sum of two numbers
    does not depend on it, so the bits are the same each time. A sum of three would.
    """

    def __init__(self) -> None:
        # A thread takes the process's number of threads when it first asks, over one set before.
        self._beside = ThreadPoolExecutor(1, initializer=torch.get_num_threads)

    def summed(self, function: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
        """Return the sum of what the function returns for each half.

        Args:
            function: Called in both threads at the same time.
            batch: One with a single sample, and any on a single thread, is passed on whole.
        """
        threads = torch.get_num_threads()
        if threads == 1 or len(batch) == 1:
            return function(batch)
        first, second = batch.halves()
        beside = self._beside.submit(_on_threads, threads // 2, function, second)
        try:
            own = _on_threads(threads - threads // 2, function, first)
        finally:
            wait([beside])
            # Threads that begin later take the number that any thread has set last.
            torch.set_num_threads(threads)
        return own + beside.result()


def _on_threads(threads: int, function: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    torch.set_num_threads(threads)
    return function(batch)
