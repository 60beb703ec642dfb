"""Copies of tensors in host memory, to be written while the device changes the tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from styledag.training.estimating.free_memory import free_bytes

_LEFT_BYTES = 2 << 30
"""Host memory that copies leave to everything else."""


class HostCopies:
    """Copies whose memory the next copies of the same tensors use again.

    Args:
        device: Of the training. Copies of a GPU's tensors are in pinned memory, which it fills
            several times faster.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies: dict[str, Tensor] = {}

    def have_room(self, tensors: Mapping[str, Tensor], *, beside: int) -> bool:
        """Return whether host memory has room for what :meth:`of` would add to it.

        Args:
            tensors: On any device.
            beside: Further bytes for which there must be room.
        """
        new = [each for name, each in tensors.items() if not self._has_copy(name, each)]
        needed = sum(map(_bytes, new)) + beside
        return needed + _LEFT_BYTES <= free_bytes(torch.device("cpu"))

    def of(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return copies of tensors, which stay as they are until the next call.

        Args:
            tensors: On any device; the same ones each time.
        """
        for name, tensor in tensors.items():
            if not self._has_copy(name, tensor):
                self._copies[name] = _empty(tensor)
            self._copies[name].copy_(tensor.detach(), non_blocking=True)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return {name: self._copies[name] for name in tensors}

    def _has_copy(self, name: str, tensor: Tensor) -> bool:
        copy = self._copies.get(name)
        return copy is not None and copy.shape == tensor.shape and copy.dtype == tensor.dtype


def _bytes(tensor: Tensor) -> int:
    # torch pins blocks of a power of two.
    return 1 << (tensor.nbytes - 1).bit_length() if tensor.is_cuda else tensor.nbytes


def _empty(tensor: Tensor) -> Tensor:
    if tensor.is_cuda:
        try:
            return torch.empty_like(tensor, device="cpu", pin_memory=True)
        except RuntimeError:
            # A system may pin less than it has (WSL half of it), and other memory does as well.
            pass
    return torch.empty_like(tensor, device="cpu")
