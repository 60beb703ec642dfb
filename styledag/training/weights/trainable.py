"""Which of the denoiser's parameters a recipe trains, and at which share of the learning rate."""

from collections.abc import Iterable, Sequence

from torch import nn

from styledag.bases.base import Base
from styledag.bases.blocks import is_in, prefix_of
from styledag.errors import TrainingError
from styledag.training.recipe import Recipe, Trained


class Trainable:
    """The part of a base's denoiser that a recipe trains.

    Raises:
        TrainingError: If the base has no such layers or blocks; the message lists those it has.
    """

    def __init__(self, base: Base, recipe: Recipe) -> None:
        self._trained: Trained = recipe.trained
        self._blocks = recipe.blocks
        self._rates = recipe.block_rates
        if recipe.trained != "unet" and recipe.trained not in base.layers:
            raise TrainingError(
                f"the recipe trains {recipe.trained!r}, but {base.family} has no such layers: "
                f"train one of {', '.join(('unet', *base.layers))}"
            )
        self._layers = frozenset(base.layers.get(recipe.trained, ()))
        self._prefixes: Sequence[str] | None = None
        if recipe.blocks is not None:
            named = {_prefix(base, each, "blocks") for each in recipe.blocks}
            whole = all(any(is_in(each, other) for other in named) for each in base.blocks.values())
            self._prefixes = None if whole else sorted(named)
        self._rate_prefixes = {
            block: _prefix(base, block, "block_rates") for block in recipe.block_rates
        }

    def contains(self, name: str) -> bool:
        """Return whether the parameter or module of a name, as diffusers calls it, is trained."""
        if self._layers and self._layers.isdisjoint(name.split(".")):
            return False
        return self._prefixes is None or any(is_in(name, each) for each in self._prefixes)

    def select(self, denoiser: nn.Module) -> dict[str, nn.Parameter]:
        """Return the parameters to train by name, in the model's order; freeze all others.

        Args:
            denoiser: Changed in place: ``requires_grad`` of every parameter is set.

        Raises:
            TrainingError: If there are none.
        """
        selected = {}
        for name, parameter in denoiser.named_parameters():
            chosen = self.contains(name)
            parameter.requires_grad_(chosen)
            if chosen:
                selected[name] = parameter
        if not selected:
            layers = f" named {' or '.join(sorted(self._layers))}" if self._layers else ""
            where = "" if self._blocks is None else f" in blocks {', '.join(self._blocks)}"
            raise TrainingError(
                f"the recipe trains {self._trained!r}{where}, but the base's denoiser has no "
                f"layer{layers} there: train 'unet', name other blocks, or use another base"
            )
        return selected

    def rate_shares(self, parameters: Iterable[str]) -> dict[str, float]:
        """Return each parameter's share of the learning rate, by name.

        Raises:
            TrainingError: If a block has a rate of its own, but no parameter is in it.
        """
        shares = dict.fromkeys(parameters, 1.0)
        for block, prefix in self._rate_prefixes.items():
            chosen = [name for name in shares if is_in(name, prefix)]
            if not chosen:
                raise TrainingError(
                    f"the recipe has a rate for block {block}, but trains nothing in it: remove "
                    "it from block_rates, or train that block"
                )
            shares |= dict.fromkeys(chosen, self._rates[block])
        return shares


def _prefix(base: Base, block: str, setting: str) -> str:
    return prefix_of(block, base.blocks, setting=setting, error=TrainingError)
