"""What a denoiser reads beside latents and timesteps, as named tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Conditioning:
    """What a denoiser reads beside latents and timesteps: named tensors, one row for each text.

    Attributes:
        tensors: By name; all have as many rows as there are texts.
    """

    tensors: "Mapping[str, Tensor]"

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, name: str) -> "Tensor":
        return self.tensors[name]

    def select(self, rows: "Tensor | list[int] | slice") -> "Conditioning":
        """Return some rows, in that order; a row may come several times.

        They are copies, but those of a slice.
        """
        return Conditioning({name: each[rows] for name, each in self.tensors.items()})

    def to(
        self, device: "torch.device | None" = None, dtype: "torch.dtype | None" = None
    ) -> "Conditioning":
        """Return the tensors on a device; floating-point ones in a dtype, masks and ids as is.

        Pinned ones are copied without waiting. No others: to Apple's GPUs torch copies what then
        stands in memory that was freed meanwhile (its issue 189690).
        """
        moved = {}
        for name, each in self.tensors.items():
            own = dtype if each.is_floating_point() else None
            moved[name] = each.to(device, non_blocking=each.is_pinned()).to(own or each.dtype)
        return Conditioning(moved)

    def pinned(self) -> "Conditioning":
        """Return the tensors in host memory that a CUDA device reads by itself."""
        return Conditioning({name: each.pin_memory() for name, each in self.tensors.items()})

    @classmethod
    def concatenated(cls, parts: "Sequence[Conditioning]") -> "Conditioning":
        """Return all rows of several, in that order, as one batch."""
        import torch

        return cls({name: torch.cat([each[name] for each in parts]) for name in parts[0].tensors})
