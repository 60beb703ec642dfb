"""DARE: changes are dropped at random, and those that are left are scaled up to make up for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from styledag.merging.method import MergeSettings, Parents, merge_method
from styledag.randomness import generator_for
from styledag.settings import setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Dare(MergeSettings):
    """base + weight x what is left of the difference: weight 0 is the base, bit for bit."""

    type: Literal["dare"] = setting("dare", help="Drop at random and rescale (DARE).")
    density: float = setting(0.5, gt=0, le=1, help="Share of the changes that is kept.")
    rescale: bool = setting(True, help="Whether what is kept is divided by the density.")
    seed: int = setting(0, ge=0, help="Seed of the choice.")


@merge_method(Dare, whole_tensors=True, several=True)
def merge_dare(parents: Parents, settings: Dare) -> "Tensor":
    """Return the base with what is left of each difference; Yu et al., arXiv:2311.03099, eq. 4.

    What is kept follows from the seed, the tensor's name and the fine-tune's place.
    """
    import torch

    total = parents.base
    scale = 1 / settings.density if settings.rescale else 1.0
    differences = zip(parents.differences, parents.weights, strict=True)
    for place, (difference, weight) in enumerate(differences):
        if weight:
            generator = generator_for("dare", settings.seed, parents.name, place)
            is_kept = torch.rand(difference.shape, generator=generator) < settings.density
            total = total + difference * is_kept.to(total.device) * (weight * scale)
    return total
