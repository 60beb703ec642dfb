"""The learning rate of each optimiser step."""

import math

from styledag.errors import TrainingError
from styledag.training.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, *, total_steps: int) -> float:
    """Return the learning rate of an optimiser step.

    It rises linearly over ``lr_warmup_steps``, never being 0, and then stays, or falls towards 0
    at the run's end along a line or half a cosine.

    Args:
        recipe: Peak, warm-up and shape.
        step: Optimiser steps taken before this one; from 0.
        total_steps: Optimiser steps of the whole run.

    Raises:
        TrainingError: If the warm-up is as long as the run.
    """
    warmup = recipe.lr_warmup_steps
    if warmup >= total_steps:
        raise TrainingError(
            f"lr_warmup_steps is {warmup}, but the whole run has only {total_steps} optimiser "
            "steps: lower it, or train for more epochs"
        )
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / (total_steps - warmup)
    match recipe.lr_schedule:
        case "linear":
            share = 1 - done
        case "cosine":
            share = 0.5 * (1 + math.cos(math.pi * done))
        case "constant":
            share = 1.0
    return recipe.learning_rate * share
