"""Numbers that a device has yet to compute, read without stopping it."""

import torch
from torch import Tensor


class Readback:
    """Values of a tensor that are copied to the host as soon as the device has computed them.

    ``float(tensor)`` waits for everything that the device was given since, such as the next step;
    this waits for the copy alone, and only on CUDA is there anything to wait for.

    Args:
        values: Numbers that nothing changes any more.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values.detach()
        self._copied: torch.cuda.Event | None = None
        if values.is_cuda:
            host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values = host.copy_(self._values, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record(torch.cuda.current_stream(values.device))

    def read(self) -> list[float]:
        """Return the values, once they are there."""
        if self._copied is not None:
            self._copied.synchronize()
        return [float(each) for each in self._values]
