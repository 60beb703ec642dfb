"""The blends of a model: shares of the fine-tune, averages of other lengths, several models."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import ModelError, StyleFileError
from styledag.graph.names import Partition, length_key, parse_length, weight_key
from styledag.merging.settings import MIXED_NAME

if TYPE_CHECKING:
    from styledag.style.model import Style


@dataclass(frozen=True)
class Blend:
    """One blend of a model.

    Attributes:
        weight: Share of the fine-tune, 0 to 1; 1 for an average of another length.
        length: Relative length of a reconstructed average; ``None`` for a blend by weight, which
            takes the average that training kept.
        mixed: Name of a blend of several models, whose shares the style file states.
    """

    weight: float = 1.0
    length: float | None = None
    mixed: str | None = None

    @classmethod
    def parse(cls, key: str) -> "Blend":
        """Return the blend that a partition key names: ``0.25``, ``ema-0.150`` or ``both``.

        Raises:
            StyleFileError: If it names none.
        """
        length = parse_length(key)
        if length is not None:
            return cls(length=length)
        if re.fullmatch(MIXED_NAME, key):
            return cls(mixed=key)
        try:
            return cls(weight=float(key))
        except ValueError as exc:
            raise StyleFileError(
                f"{key!r} is no blend: expected a weight, as 0.25, or a length, as ema-0.150, or "
                "the name of a mixed one"
            ) from exc

    @property
    def key(self) -> str:
        """Its partition key."""
        if self.mixed is not None:
            return self.mixed
        return weight_key(self.weight) if self.length is None else length_key(self.length)

    @property
    def name(self) -> str:
        """What scores and report call it."""
        if self.mixed is not None:
            return f"blend {self.mixed}"
        if self.length is None:
            return f"weight {weight_key(self.weight)}"
        return f"length {self.length:.3f}"


def blends_of(style: "Style", model: Partition) -> list[Blend]:
    """Return the blends of one of a style's models: by rising weight, by rising length, mixed ones.

    Only a recipe that keeps power-function averages has lengths. A blend of several models belongs
    to the last of the style's recipes that is in it, before which all others are trained.
    """
    blends = [Blend(weight=weight) for weight in style.blends.weights]
    if style.recipes[model.recipe].ema.mode == "power":
        blends += [Blend(length=length) for length in style.blends.lengths]
    for name, shares in style.blends.mixed.items():
        own = [recipe for recipe in style.recipes if f"{model.style}.{recipe}" in shares]
        if own[-1:] == [model.recipe]:
            blends.append(Blend(mixed=name))
    return blends


def mixed_with(style: "Style", partition: Partition) -> list[Partition]:
    """Return the further models of the graph that a blend of several is made of; else none."""
    shares = style.blends.mixed.get(partition.part, {})
    known = {partition.model_key, *style.blends.foreign}
    return [Partition.parse(each) for each in shares if each not in known]


def amount_of(unet: Path) -> float:
    """Return the share of fine-tune that is really in a blend, from its file's header.

    Raises:
        ModelError: If the header does not state it.
    """
    from safetensors import safe_open

    file = min(unet.glob("*.safetensors"))
    with safe_open(file, framework="pt") as tensors:
        stated = (tensors.metadata() or {}).get("styledag.amount")
    if stated is None:
        raise ModelError(f"{file} states no styledag.amount: materialise merged_unet again")
    amounts = json.loads(stated)
    return float(sum(amounts) if isinstance(amounts, list) else amounts)
