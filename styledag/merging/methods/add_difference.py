"""A style put onto another base of the same family: what fine-tuning added is added there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from styledag.merging.method import MergeSettings, Parents, merge_method
from styledag.models.reference import ModelReference
from styledag.settings import setting

if TYPE_CHECKING:
    from torch import Tensor

ONTO = "onto"


@dataclass(frozen=True, kw_only=True)
class AddDifference(MergeSettings):
    """onto + weight x (fine-tune - base): weight 0 is the other base, bit for bit."""

    type: Literal["add_difference"] = setting(
        "add_difference", help="The difference to the base, added to another base."
    )
    onto: ModelReference = setting(help="The base that the style is put onto; of the same family.")

    def models(self) -> Mapping[str, ModelReference]:
        """Return the other base."""
        return {ONTO: self.onto}


@merge_method(AddDifference, several=True)
def add_difference(parents: Parents, settings: AddDifference) -> "Tensor":  # noqa: ARG001
    """Return the other base with the weighted differences of all fine-tunes."""
    total = parents.others[ONTO]
    for difference, weight in zip(parents.differences, parents.weights, strict=True):
        total = total.add(difference, alpha=weight) if weight else total
    return total
