"""Linear interpolation of weights, the merge that Text to Pokemon showed to control style."""

import torch


def lerp(base: torch.Tensor, tuned: torch.Tensor, weight: float) -> torch.Tensor:
    """Return ``base + weight * (tuned - base)`` in the wider of the parents' dtypes.

    The arithmetic is float32 at least. 0 gives the base and 1 the fine-tune bit for bit, the sign
    of a zero included, which the arithmetic alone would lose.

    Args:
        base: Any shape, floating.
        tuned: Same shape, floating, perhaps of another dtype.
        weight: Share of the fine-tune, 0 to 1.
    """
    wider = torch.promote_types(base.dtype, tuned.dtype)
    if weight in (0, 1):
        return (tuned if weight else base).to(wider)
    computed = torch.promote_types(wider, torch.float32)
    return torch.lerp(base.to(computed), tuned.to(computed), weight).to(wider)
