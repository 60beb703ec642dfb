"""The processes of one training run: alone, or as torchrun starts them, one a device."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

from styledag.errors import DeviceError

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")

_PATIENCE = timedelta(hours=6)
"""How long processes wait for one of them, as all do for the first while it writes a snapshot and a
state. NCCL alone would end the run after ten minutes, in which a slow disk does not take the states
of large bases. A process that has ended is torchrun's to notice."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: This process's number, from 0; only 0 writes files and shows progress.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

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

        # No pass changes a buffer, and a base in few bits is all buffers: the first process would
        # send it to all others before each pass.
        known = signature(DistributedDataParallel).parameters
        # torch 2.13 warns of the older name.
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        switch: dict[str, Any] = {name: False}
        return DistributedDataParallel(module, **switch)

    def unsynchronised(self, module: "nn.Module") -> AbstractContextManager[Any]:
        """Return a context in which a wrapped module only gathers gradients of this process."""
        return module.no_sync() if self.size > 1 else nullcontext()  # type: ignore[operator]

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
def joined_processes(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started while the block runs; alone without it.

    On CUDA each has the device of its local rank as its current one, and NCCL connects them;
    gloo connects all others.

    Args:
        device: Where they train: ``auto``, ``cuda``, ``mps`` or ``cpu``.

    Raises:
        DeviceError: If this machine has fewer CUDA devices than processes, or they would train on
            MPS, whose tensors no library connects.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    import torch
    from torch import distributed

    from styledag.models.compute import resolve_device

    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if device in ("auto", "cuda") and torch.cuda.is_available():
        count = torch.cuda.device_count()
        if local_rank >= count:
            raise DeviceError(
                f"process {local_rank} of this machine has no CUDA device of its own: there are "
                f"{count}, so start at most {count} (--nproc-per-node)"
            )
        # Before NCCL, which connects the current devices, and before memory is allocated.
        torch.cuda.set_device(local_rank)
        own = torch.device("cuda", local_rank)
        distributed.init_process_group("nccl", device_id=own, timeout=_PATIENCE)
    elif resolve_device(device).type == "mps":
        raise DeviceError(
            "several processes cannot train together on MPS: start one, or name the device cpu"
        )
    else:
        distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
