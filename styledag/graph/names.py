"""Names of partitions, as the store spells them.

``style``, ``style.recipe``, ``model/e001``, ``model/0.25`` and ``model/ema-0.150``.
"""

import re
from dataclasses import dataclass

from styledag.errors import StyleFileError

_LENGTH = re.compile(r"^ema-(0\.\d{1,3})$")


@dataclass(frozen=True, order=True)
class ModelName:
    """A style and a recipe."""

    style: str
    recipe: str

    @classmethod
    def parse(cls, text: str) -> "ModelName":
        """Return the model that ``style.recipe`` names.

        Raises:
            StyleFileError: If the text has another form.
        """
        style, dot, recipe = text.partition(".")
        if not (style and dot and recipe):
            raise StyleFileError(f"{text!r} is no model: expected STYLE.RECIPE, as twemoji.full")
        return cls(style, recipe)

    def __str__(self) -> str:
        return f"{self.style}.{self.recipe}"


def epoch_key(epoch: int) -> str:
    """Return the partition key of an epoch, such as ``e001``."""
    return f"e{epoch:03d}"


def weight_key(weight: float) -> str:
    """Return the partition key of a blend's weight, such as ``0.25``."""
    return f"{weight:.2f}"


def length_key(length: float) -> str:
    """Return the partition key of an average's relative length, such as ``ema-0.150``."""
    return f"ema-{length:.3f}"


def parse_length(key: str) -> float | None:
    """Return the length that a partition key names; ``None`` if it names none."""
    match = _LENGTH.match(key)
    return float(match[1]) if match else None


def model_part(model: ModelName | str, key: str) -> str:
    """Return the store's partition of one epoch or blend of a model."""
    return f"{model}/{key}"
