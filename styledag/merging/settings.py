"""What a style file says of blends."""

from collections.abc import Mapping
from dataclasses import dataclass

from styledag.settings import STRICT, setting
from styledag.training.recipe import MAX_POWER_LENGTH


@dataclass(frozen=True, kw_only=True)
class BlendSettings:
    """How much of the fine-tune is mixed into the base, and over how much of the run it averages.

    Attributes:
        block_weights: As in merges "weighted by block": a block that knows more than it draws can
            stay nearer to the base than the others.
        lengths: One more blend each, of a recipe that keeps power-function averages only: all of
            the fine-tune, in the average of that relative length.
    """

    __pydantic_config__ = STRICT

    weights: tuple[float, ...] = setting(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        min_length=1,
        help="Shares of the fine-tune, 0 to 1 in hundredths; 0 is the base, 1 the fine-tune.",
    )
    block_weights: Mapping[str, float] = setting(
        default_factory=dict,
        help="Shares of the weight for single blocks, 0 to 1, such as {up.0: 0.5}; 1 for others.",
    )
    lengths: tuple[float, ...] = setting(
        (),
        help="For recipes with ema.mode power: further averages to reconstruct, each as one more "
        "blend; standard deviations as shares of the run, in thousandths, such as 0.15.",
    )

    def __post_init__(self) -> None:
        for weight in self.weights:
            if not 0 <= weight <= 1 or abs(weight * 100 - round(weight * 100)) > 1e-9:
                raise ValueError(f"weight {weight!r} is not 0 to 1 in steps of 0.01")
        if list(self.weights) != sorted(set(self.weights)):
            raise ValueError(f"weights {list(self.weights)} must rise, each once")
        for block, share in self.block_weights.items():
            if not 0 <= share <= 1:
                raise ValueError(f"block_weights[{block!r}] is {share!r}, but must be 0 to 1")
        for length in self.lengths:
            is_thousandths = abs(length * 1000 - round(length * 1000)) < 1e-9
            if not 0 < length < MAX_POWER_LENGTH or not is_thousandths:
                raise ValueError(
                    f"length {length!r} is not between 0 and {MAX_POWER_LENGTH} in steps of 0.001"
                )
        if list(self.lengths) != sorted(set(self.lengths)):
            raise ValueError(f"lengths {list(self.lengths)} must rise, each once")
