"""Linear interpolation of weights, the merge that Text to Pokemon showed to control style."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from styledag.merging.method import MergeSettings, Parents, merge_method
from styledag.settings import setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Lerp(MergeSettings):
    """base + weight x (fine-tune - base): weights 0 and 1 are the two, bit for bit.

    Of several fine-tunes the weighted differences are added.
    """

    type: Literal["lerp"] = setting("lerp", help="Linear interpolation.")


@merge_method(Lerp, several=True, rounds_once=True, spreads_nan=True)
def merge_lerp(parents: Parents, settings: Lerp) -> "Tensor":  # noqa: ARG001
    """Return the interpolation of one fine-tune, or the base with all weighted differences."""
    import torch

    base = parents.base
    used = [(each, by) for each, by in zip(parents.tuned, parents.weights, strict=True) if by]
    if len(used) < 2:
        tuned, weight = used[0] if used else (base, 0.0)
        return lerp(base, tuned, weight)
    exact = base.to(torch.promote_types(base.dtype, torch.float32))
    total = exact.clone()
    for tuned, weight in used:
        total.add_(tuned.to(exact.dtype) - exact, alpha=weight)
    return total.to(base.dtype)


def lerp(base: "Tensor", tuned: "Tensor", weight: float) -> "Tensor":
    """Return ``base + weight * (tuned - base)`` in the wider of the parents' dtypes.

    The arithmetic is float32 at least. 0 gives the base and 1 the fine-tune bit for bit, the sign
    of a zero included, which the arithmetic alone would lose.

    Args:
        base: Any shape, floating.
        tuned: Same shape, floating, perhaps of another dtype.
        weight: Share of the fine-tune, 0 to 1.
    """
    import torch

    wider = torch.promote_types(base.dtype, tuned.dtype)
    if weight in (0, 1):
        return (tuned if weight else base).to(wider)
    # torch computes the interpolation of halves in float32, and rounds the result once.
    return torch.lerp(base.to(wider), tuned.to(wider), weight)
