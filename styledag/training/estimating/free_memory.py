"""How much memory a device still has for this process."""

from pathlib import Path

import psutil
import torch

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int:
    """Return the bytes that this process can still take of a device's memory.

    A memory budget counts on CUDA; on a CPU the limit of a container does.
    """
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        budget = int(total * torch.cuda.get_per_process_memory_fraction(device))
        return min(free + unused, budget - torch.cuda.memory_allocated(device))
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(psutil.virtual_memory().available, _container())


def _container() -> int:
    """Return what is left below a container's limit; no limit is the whole memory."""
    try:
        limit = int((_CGROUP / "memory.max").read_text(encoding="ascii"))
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        statistics = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        # Pages of files are given up when memory is short.
        files = next(int(each.split()[1]) for each in statistics if each.startswith("file "))
        return limit - used + files
    except (OSError, ValueError, StopIteration):
        return psutil.virtual_memory().total
