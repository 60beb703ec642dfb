"""When training does not fit: which settings would make it fit."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from styledag.errors import TrainingError
from styledag.training.recipe import Recipe

_CPU_WORDS = ("can't allocate memory", "out of memory")


@contextmanager
def memory_errors(recipe: Recipe) -> Iterator[None]:
    """Turn running out of memory into an error that names the recipe's settings to lower.

    Raises:
        TrainingError: In place of the device's or the allocator's error.
    """
    with out_of_memory(_advice(recipe)):
        yield


@contextmanager
def out_of_memory(advice: str) -> Iterator[None]:
    """Turn running out of memory into an error that says what to do.

    Args:
        advice: What would need less.

    Raises:
        TrainingError: In place of the device's or the allocator's error.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as exc:
        is_memory = isinstance(exc, MemoryError | torch.OutOfMemoryError)
        if not is_memory and not any(words in str(exc) for words in _CPU_WORDS):
            raise
        raise TrainingError(f"training ran out of memory ({advice}): {exc}") from exc


def _advice(recipe: Recipe) -> str:
    ways = []
    if recipe.batch_size > 1:
        ways.append(
            f"lower batch_size from {recipe.batch_size} and raise gradient_accumulation from "
            f"{recipe.gradient_accumulation} as much, for the same result"
        )
    if recipe.trained == "unet":
        ways.append("train only 'attention' or 'cross_attention'")
    if recipe.ema.mode != "none":
        ways.append("set ema.mode to 'none'")
    return "; or ".join(ways) or "a smaller base or a larger device is needed"
