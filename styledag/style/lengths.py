"""Whether the recipes of a style can give the averages that its blends ask for."""

from collections.abc import Mapping

from styledag.errors import TrainingError
from styledag.merging.settings import BlendSettings
from styledag.training.recipe import Recipe


def check_lengths(blends: BlendSettings, recipes: Mapping[str, Recipe]) -> None:
    """Check the lengths of reconstructed averages before anything is trained for them.

    A recipe that keeps no power-function averages has no such blends, and is not looked at. Only
    shares of the run count, so what the snapshots can give is known without its length. A run
    that stops early is looked at again when it is blended.

    Raises:
        ValueError: If no recipe keeps power-function averages, or one that does cannot give a
            length.
    """
    if not blends.lengths:
        return
    keeping = {name: each for name, each in recipes.items() if each.ema.mode == "power"}
    if not keeping:
        raise ValueError(
            f"lengths {list(blends.lengths)} are reconstructed from the averages that ema.mode "
            f"'power' keeps, but no recipe has it ({', '.join(recipes)}): set it in one, or "
            "remove lengths"
        )
    for name, recipe in keeping.items():
        try:
            _check_recipe(blends, recipe)
        except TrainingError as exc:
            raise ValueError(f"recipe {name!r}: {exc}") from exc


def _check_recipe(blends: BlendSettings, recipe: Recipe) -> None:
    from styledag.training.averaging.posthoc import (
        gamma_of,
        power_lengths,
        require_length,
        spread_snapshots,
    )

    epochs = recipe.snapshot_epochs
    stored = [
        (epochs[place], gamma_of(length))
        for place in spread_snapshots(epochs)
        for length in power_lengths(recipe.ema)
    ]
    for length in blends.lengths:
        require_length(stored, recipe.epochs, length)
