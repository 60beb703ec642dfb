"""Training with the same bits again on the same GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from styledag.models.compute import Compute, use_deterministic_cublas


@contextmanager
def deterministic_kernels(compute: Compute) -> Iterator[None]:
    """Allow only deterministic kernels while the block runs, if ``compute`` asks for them.

    One GPU then gives the same bits from the same inputs, without its fastest kernels. A CPU's
    are deterministic anyhow, for one number of threads.
    """
    if not compute.deterministic:
        yield
        return
    use_deterministic_cublas()
    before = torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = benchmark
