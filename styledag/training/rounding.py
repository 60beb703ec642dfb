"""Rounding float32 to bfloat16 by chance, so that steps below one rounding are not lost."""

import torch
from torch import Tensor

_LOST_BITS = 16


def stochastically_rounded(values: Tensor, generator: torch.Generator) -> Tensor:
    """Return values as bfloat16, each rounded up as often as it lies near the number above.

    The mean over many roundings is the value itself, while rounding to the nearest would leave a
    weight where it is whenever a step is below half of the distance to the next number (Zamirai
    et al. 2020, "Revisiting BFloat16 Training").

    Args:
        values: float32, of any shape.
        generator: Of the values' own device.
    """
    bits = values.view(torch.int32)
    chance = torch.empty_like(bits).random_(0, 1 << _LOST_BITS, generator=generator)
    rounded = chance.add_(bits).bitwise_and_(-(1 << _LOST_BITS))
    return rounded.view(torch.float32).to(torch.bfloat16)
