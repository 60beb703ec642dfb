"""The learning rate of each optimiser step."""

import math
from dataclasses import dataclass
from typing import Literal

from styledag.errors import TrainingError
from styledag.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A run's learning rates.

    Attributes:
        highest: The learning rate after the warm-up.
        shape: How it falls towards the end of the run: along a line, half a cosine, or not.
        warmup_steps: Optimiser steps over which it rises linearly, never being 0.
        total_steps: Optimiser steps of the whole run.

    Raises:
        TrainingError: If the warm-up is as long as the run.
    """

    highest: float
    shape: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = 0
    total_steps: int

    def __post_init__(self) -> None:
        if self.warmup_steps >= self.total_steps:
            raise TrainingError(
                f"lr_warmup_steps is {self.warmup_steps}, but the whole run has only "
                f"{self.total_steps} optimiser steps: lower it, or train for more epochs"
            )

    @classmethod
    def of(cls, recipe: Recipe, *, total_steps: int) -> "Schedule":
        """Return a recipe's own for a run of so many optimiser steps."""
        return cls(
            highest=recipe.learning_rate,
            shape=recipe.lr_schedule,
            warmup_steps=recipe.lr_warmup_steps,
            total_steps=total_steps,
        )

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of an optimiser step.

        Args:
            step: Optimiser steps taken before this one; from 0.
        """
        warmup = self.warmup_steps
        if step < warmup:
            return self.highest * (step + 1) / (warmup + 1)
        done = (step - warmup) / (self.total_steps - warmup)
        match self.shape:
            case "linear":
                share = 1 - done
            case "cosine":
                share = 0.5 * (1 + math.cos(math.pi * done))
            case "constant":
                share = 1.0
        return self.highest * share
