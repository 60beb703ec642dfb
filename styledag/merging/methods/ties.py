"""TIES: small changes are dropped, and of the others only those that agree in sign are kept."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from styledag.merging.method import MergeSettings, Parents, merge_method
from styledag.settings import setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Ties(MergeSettings):
    """base + the trimmed differences that agree, weighted: weight 0 is the base, bit for bit."""

    type: Literal["ties"] = setting("ties", help="Trim, elect signs and merge (TIES).")
    density: float = setting(
        0.2, gt=0, le=1, help="Share of each tensor's changes that is kept, the largest first."
    )


@merge_method(Ties, whole_tensors=True, several=True)
def merge_ties(parents: Parents, settings: Ties) -> "Tensor":
    """Return the base with the merged change; Yadav et al., arXiv:2306.01708, algorithm 1.

    The change is the mean of the fine-tunes that have the elected sign, weighted by their weights,
    times the sum of all weights, which is the paper's lambda: one fine-tune alone at weight w
    gives w times its trimmed difference.
    """
    import torch

    if not any(parents.weights):
        return parents.base
    changes = torch.stack([trimmed(each, settings.density) for each in parents.differences])
    shape = (-1, *(1 for _ in parents.base.shape))
    weights = changes.new_tensor(parents.weights).reshape(shape)
    weighted = changes * weights
    # A tie goes to plus. A change that was trimmed has no sign, so no vote and no part.
    elected = torch.where(weighted.sum(0) >= 0, 1.0, -1.0)
    agree = weighted.sign() == elected
    total = (weighted * agree).sum(0)
    counted = (weights * agree).sum(0)
    return parents.base + total / counted.where(counted != 0, 1.0) * sum(parents.weights)


def trimmed(difference: "Tensor", density: float) -> "Tensor":
    """Return a difference of which only the largest changes are left; the others are 0.

    Args:
        difference: A whole tensor.
        density: Share of its elements to keep, 0 to 1; one at least. Of equally large ones all
            are kept, so that the result does not depend on an order.
    """
    kept = max(1, int(density * difference.numel()))
    if kept >= difference.numel():
        return difference
    sizes = difference.abs()
    least = sizes.flatten().kthvalue(difference.numel() - kept + 1).values
    return difference.where(sizes >= least, 0.0)
