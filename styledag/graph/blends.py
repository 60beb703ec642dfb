"""The blends of a model: shares of the fine-tune, and averages of other lengths."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import ModelError, StyleFileError
from styledag.graph.names import length_key, parse_length, weight_key

if TYPE_CHECKING:
    from styledag.style.model import Style


@dataclass(frozen=True)
class Blend:
    """One blend of a model.

    Attributes:
        weight: Share of the fine-tune, 0 to 1; 1 for an average of another length.
        length: Relative length of a reconstructed average; ``None`` for a blend by weight, which
            takes the average that training kept.
    """

    weight: float = 1.0
    length: float | None = None

    @classmethod
    def parse(cls, key: str) -> "Blend":
        """Return the blend that a partition key names: ``0.25`` or ``ema-0.150``.

        Raises:
            StyleFileError: If it names none.
        """
        length = parse_length(key)
        if length is not None:
            return cls(length=length)
        try:
            return cls(weight=float(key))
        except ValueError as exc:
            raise StyleFileError(
                f"{key!r} is no blend: expected a weight, as 0.25, or a length, as ema-0.150"
            ) from exc

    @property
    def key(self) -> str:
        """Its partition key."""
        return weight_key(self.weight) if self.length is None else length_key(self.length)

    @property
    def name(self) -> str:
        """What scores and report call it."""
        if self.length is None:
            return f"weight {weight_key(self.weight)}"
        return f"length {self.length:.3f}"


def blends_of(style: "Style", recipe: str) -> list[Blend]:
    """Return the blends of one of a style's models: by rising weight, then by rising length.

    Only a recipe that keeps power-function averages has lengths.
    """
    weights = [Blend(weight=weight) for weight in style.blends.weights]
    if style.recipes[recipe].ema.mode != "power":
        return weights
    return [*weights, *(Blend(length=length) for length in style.blends.lengths)]


def amount_of(unet: Path) -> float:
    """Return the share of the fine-tune that is really in a blend, from its file's header.

    Args:
        unet: Folder of the blend, with its safetensors.

    Raises:
        ModelError: If the header does not state it.
    """
    from safetensors import safe_open

    file = min(unet.glob("*.safetensors"))
    with safe_open(file, framework="pt") as tensors:
        stated = (tensors.metadata() or {}).get("styledag.amount")
    if stated is None:
        raise ModelError(f"{file} states no styledag.amount: materialise merged_unet again")
    return float(stated)
