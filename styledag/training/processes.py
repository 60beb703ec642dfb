"""The processes of one training run: alone, or as torchrun starts them, one a device."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from styledag.models.compute import Compute

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: This process's number, from 0; only 0 writes files and shows progress.
        size: How many there are.
        local_rank: This process's number among those of its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def share(self, samples: Sequence[T]) -> Sequence[T]:
        """Return this process's part of a microstep's samples; it may be empty."""
        return samples[self.rank :: self.size]

    def wrapped(self, module: "nn.Module") -> "nn.Module":
        """Return a module whose gradients are averaged over the processes; alone, itself."""
        if self.size == 1:
            return module
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(module)

    def unsynchronised(self, module: "nn.Module") -> AbstractContextManager[Any]:
        """Return a context in which a wrapped module only gathers gradients of this process."""
        return module.no_sync() if self.size > 1 else nullcontext()  # type: ignore[operator]

    def own_device(self, compute: Compute) -> Compute:
        """Return a device for this process alone: the CUDA device of its local rank."""
        if self.size == 1 or compute.device.type != "cuda":
            return compute
        import torch

        device = torch.device("cuda", self.local_rank)
        torch.cuda.set_device(device)
        return replace(compute, device=device)

    def summed(self, value: "Tensor") -> "Tensor":
        """Return a value's sum over all processes; alone, the value."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier()


ALONE = Processes()
"""A run in one process."""


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """Join the processes that torchrun started, for as long as the block runs; alone without it.

    NCCL connects CUDA devices, gloo all else.
    """
    import os

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    import torch
    from torch import distributed

    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes(
            distributed.get_rank(),
            distributed.get_world_size(),
            int(os.environ.get("LOCAL_RANK", "0")),
        )
    finally:
        distributed.destroy_process_group()
