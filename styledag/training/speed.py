"""The speed of a run and its peak memory, as figures beside its progress."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_GIB = 1 << 30
_KIB = 1 << 10


class Speed:
    """Images over the time spent on optimiser steps, and the most memory so far.

    Attributes:
        seconds: Time spent on steps.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.images = 0
        self.seconds = 0.0

    @contextmanager
    def step(self, images: int) -> Iterator[None]:
        """Count a step of so many images, and its time."""
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began
        self.images += images

    @property
    def images_per_s(self) -> float:
        """Images a second; 0 before the first step."""
        return self.images / self.seconds if self.seconds else 0.0

    def figures(self) -> dict[str, float]:
        """Return the figures to show beside a progress bar."""
        return {"images_per_s": self.images_per_s, "memory_gib": self._peak_bytes() / _GIB}

    def _peak_bytes(self) -> int:
        match self._device.type:
            case "cuda":
                return torch.cuda.max_memory_allocated(self._device)
            case "mps":
                return torch.mps.driver_allocated_memory()
            case _:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                return peak if sys.platform == "darwin" else peak * _KIB
