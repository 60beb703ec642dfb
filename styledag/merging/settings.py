"""What a style file says of blends."""

from dataclasses import dataclass

from styledag.settings import STRICT, setting


@dataclass(frozen=True, kw_only=True)
class BlendSettings:
    """How much of the fine-tune is mixed into the base."""

    __pydantic_config__ = STRICT

    weights: tuple[float, ...] = setting(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        min_length=1,
        help="Shares of the fine-tune, 0 to 1 in hundredths; 0 is the base, 1 the fine-tune.",
    )

    def __post_init__(self) -> None:
        for weight in self.weights:
            if not 0 <= weight <= 1 or abs(weight * 100 - round(weight * 100)) > 1e-9:
                raise ValueError(f"weight {weight!r} is not 0 to 1 in steps of 0.01")
        if list(self.weights) != sorted(set(self.weights)):
            raise ValueError(f"weights {list(self.weights)} must rise, each once")
