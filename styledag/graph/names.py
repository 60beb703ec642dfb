"""Names of partitions: a style, its models, and their checkpoints and blends.

Dagster and a person write ``twemoji``, ``twemoji.full``, ``twemoji.full@e016``,
``twemoji.full@0.25`` and ``twemoji.full@ema-0.150``; the store has a folder below the model's for
what is behind the ``@``.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

from styledag.errors import StyleFileError

Grain = Literal["style", "model", "checkpoint", "blend"]
"""What one partition of an asset is."""

_LENGTH = re.compile(r"^ema-(0\.\d{1,3})$")


@dataclass(frozen=True, order=True)
class Partition:
    """One partition of an asset.

    Attributes:
        recipe: The recipe; empty for a whole style.
        part: Key of one checkpoint or blend of the model; empty for a whole model.
    """

    style: str
    recipe: str = ""
    part: str = ""

    @classmethod
    def parse(cls, key: str) -> "Partition":
        """Return the partition that a key such as ``twemoji.full@0.25`` names."""
        model, _, part = key.partition("@")
        style, _, recipe = model.partition(".")
        return cls(style, recipe, part)

    @classmethod
    def parse_model(cls, text: str) -> "Partition":
        """Return the model that ``style.recipe`` names.

        Raises:
            StyleFileError: If the text has another form.
        """
        style, dot, recipe = text.partition(".")
        if not (style and dot and recipe):
            raise StyleFileError(f"{text!r} is no model: expected STYLE.RECIPE, as twemoji.full")
        return cls(style, recipe)

    @classmethod
    def from_store(cls, name: str) -> "Partition":
        """Return the partition that the store has under a name such as ``twemoji.full/0.25``."""
        return cls.parse(name.replace("/", "@"))

    def __str__(self) -> str:
        return self.key

    @property
    def key(self) -> str:
        """As Dagster and a person write it."""
        return f"{self.model_key}@{self.part}" if self.part else self.model_key

    @property
    def stored_as(self) -> str:
        """As the store names it."""
        return f"{self.model_key}/{self.part}" if self.part else self.model_key

    @property
    def model_key(self) -> str:
        """Key of its model, or of its style where it has none."""
        return f"{self.style}.{self.recipe}" if self.recipe else self.style

    def of(self, part: str) -> "Partition":
        """Return one checkpoint or blend of the same model."""
        return replace(self, part=part)

    def widened(self, grain: Grain) -> "Partition":
        """Return the style or the model that it belongs to; itself for another grain."""
        if grain == "style":
            return Partition(self.style)
        return replace(self, part="") if grain == "model" else self

    def belongs_with(self, other: "Partition") -> bool:
        """Return whether both are of one model, or of one style where one of them has no model."""
        recipes = {self.recipe, other.recipe}
        return self.style == other.style and (len(recipes) == 1 or "" in recipes)


def epoch_key(epoch: int) -> str:
    """Return the partition key of an epoch, such as ``e001``."""
    return f"e{epoch:03d}"


def parse_epoch(key: str) -> int:
    """Return the epoch that a partition key names."""
    return int(key.removeprefix("e"))


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
