"""One tensor of a base and of two fine-tunes, small enough to merge by hand."""

import torch

from styledag.merging.method import Parents

BASE = torch.tensor([0.5, -1.0, 2.0, 0.25, -0.75, 1.5])
ONE = torch.tensor([0.9, -1.5, 1.0, 0.25, -0.7, 1.2])
TWO = torch.tensor([0.1, -2.0, 2.5, 1.25, -0.55, 1.7])
ONTO = torch.tensor([1.0, 1.0, -1.0, 0.0, 0.5, 0.25])
"""The same tensor of another base."""


def parents(*weights: float, **others: torch.Tensor) -> Parents:
    """Return the base and as many fine-tunes as there are weights, of the tensor ``w``."""
    return Parents("w", BASE, [ONE, TWO][: len(weights)], weights, others)
