"""Two passes at the same time, each on half of a CPU's threads.

One pass over a whole batch has all threads wait for each other after every operator, of which a
pass has thousands and most are short. Two passes that share nothing but the weights never wait.
"""

from collections.abc import Callable, Iterable, Sized
from concurrent.futures import ThreadPoolExecutor, wait

import torch
from torch import Tensor


class SideBySide:
    """Calls two functions at the same time, in this thread and another.

    Args:
        shared: Weights that both may compute gradients of.
    """

    def __init__(self, shared: Iterable[Tensor] = ()) -> None:
        for weight in shared:
            weight.register_hook(_of_its_own)  # type: ignore[no-untyped-call]
        # A thread takes the process's number of threads when it first asks, over one set before.
        self._beside = ThreadPoolExecutor(1, initializer=torch.get_num_threads)

    def can_halve(self, batch: Sized) -> bool:
        """Return whether there are threads and rows enough for two passes."""
        return torch.get_num_threads() > 1 and len(batch) > 1

    def both(
        self, first: Callable[[], Tensor], second: Callable[[], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return what two functions return, called in the grad mode of this thread.

        There must be two threads at least. An error of either is raised once both have ended.
        """
        threads = torch.get_num_threads()
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        beside = self._beside.submit(_called, second, threads // 2, *modes)
        try:
            own = _called(first, threads - threads // 2, *modes)
        finally:
            wait([beside])
            # Threads that begin later take the number that any thread has set last.
            torch.set_num_threads(threads)
        return own, beside.result()


def _called(function: Callable[[], Tensor], threads: int, grad: bool, inference: bool) -> Tensor:
    torch.set_num_threads(threads)
    with torch.inference_mode(inference), torch.set_grad_enabled(grad):
        return function()


def _of_its_own(gradient: Tensor) -> Tensor:
    """Return a gradient in memory that nothing else reads.

    torch keeps the first gradient of a weight as it is, and adds the second to it in place. Where a
    weight is added to something of its own size, as the tables of shifts and scales are in Sana,
    that is a view of what the first function's pass still has to read.
    """
    return gradient.clone() if gradient._is_view() else gradient
