"""What each of a recipe's settings decides, and the cache keys that follow. Standard library only.

A change of a setting makes anew what the setting decides, and nothing else.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from styledag.settings import settings_identity
from styledag.training.recipe import Recipe

CODE_VERSION = "3"
"""Of the training of the denoiser: raised when the same recipe gives other weights."""


_OPTIMIZER_VERSIONS: Mapping[str, str] = {"adafactor": "2"}
"""Of single optimisers: raised when a recipe with one of them gives other weights."""


_FORMER_PRIOR_GUIDANCE_SCALE = 7.5


class Decides(Enum):
    """What follows from a setting of a recipe."""

    WEIGHTS = "the weights after each optimiser step"
    LENGTH = "the number of optimiser steps"
    SNAPSHOTS = "which epochs have a snapshot, and which snapshot is the model"
    DTYPE = "the dtype of the weights in a snapshot and in the model"
    FORMAT = "how a stored checkpoint's bytes are arranged, without loss"
    NOTHING = "nothing of the content: speed, memory, logs, or another asset"


DECIDES: Mapping[str, Decides] = {
    "trained": Decides.WEIGHTS,
    "blocks": Decides.WEIGHTS,
    "block_rates": Decides.WEIGHTS,
    "lora": Decides.WEIGHTS,
    "epochs": Decides.LENGTH,
    "batch_size": Decides.WEIGHTS,
    "gradient_accumulation": Decides.WEIGHTS,
    "learning_rate": Decides.WEIGHTS,
    "lr_schedule": Decides.WEIGHTS,
    "lr_warmup_steps": Decides.WEIGHTS,
    "optimizer": Decides.WEIGHTS,
    "adam_beta1": Decides.WEIGHTS,
    "adam_beta2": Decides.WEIGHTS,
    "adam_epsilon": Decides.WEIGHTS,
    "weight_decay": Decides.WEIGHTS,
    "weights": Decides.WEIGHTS,
    "gradient_checkpointing": Decides.NOTHING,
    "ema_on_cpu": Decides.NOTHING,
    "max_grad_norm": Decides.WEIGHTS,
    "caption_dropout": Decides.WEIGHTS,
    "dropped_captions": Decides.WEIGHTS,
    "instance_prompt": Decides.WEIGHTS,
    "prior": Decides.WEIGHTS,
    "family_weighting": Decides.WEIGHTS,
    "horizontal_flip": Decides.WEIGHTS,
    "min_snr_gamma": Decides.WEIGHTS,
    "flow": Decides.WEIGHTS,
    "noise_offset": Decides.WEIGHTS,
    "ema": Decides.WEIGHTS,
    "snapshot_every_epochs": Decides.SNAPSHOTS,
    "snapshot_dtype": Decides.DTYPE,
    "snapshot_format": Decides.FORMAT,
    "decoder": Decides.NOTHING,
    "stopping": Decides.SNAPSHOTS,
    "save_state_every_steps": Decides.NOTHING,
    "keep_state": Decides.NOTHING,
    "loggers": Decides.NOTHING,
    "seed": Decides.WEIGHTS,
}
"""What each setting of :class:`~styledag.training.recipe.Recipe` decides."""


def length_dependence(recipe: Recipe) -> str | None:
    """Return the setting by which even a run's first steps depend on its number of epochs.

    ``None`` where the first epochs of a longer run are the shorter run, bit for bit.
    """
    if recipe.lr_schedule != "constant":
        return f"lr_schedule {recipe.lr_schedule!r}"
    if recipe.ema.base_share is not None:
        return "ema.base_share"
    return None


def weights_identity(recipe: Recipe) -> dict[str, Any]:
    """Return the JSON form of the settings that decide the weights after each step.

    Of runs that are alike in these, one continues the other if :func:`length_dependence` is
    ``None``.
    """
    return _chosen(recipe, Decides.WEIGHTS)


def training_identity(recipe: Recipe) -> dict[str, Any]:
    """Return the JSON form of the settings that decide the trained model and its snapshots."""
    chosen = _chosen(recipe, Decides.WEIGHTS, Decides.LENGTH, Decides.SNAPSHOTS, Decides.DTYPE)
    if recipe.stopping is not None and recipe.stopping.action == "mark":
        # The best snapshot is always named, so that marking changes nothing.
        chosen["stopping"] = None
    return chosen


def snapshot_identity(recipe: Recipe) -> dict[str, Any]:
    """Return the JSON form of the settings that decide the stored checkpoint of an epoch.

    The number of epochs is among them only where the first epochs depend on it.
    """
    return _chosen(recipe, Decides.WEIGHTS, Decides.DTYPE, Decides.FORMAT, *_length(recipe))


def _length(recipe: Recipe) -> tuple[Decides, ...]:
    return () if length_dependence(recipe) is None else (Decides.LENGTH,)


def _chosen(recipe: Recipe, *decides: Decides) -> dict[str, Any]:
    settings = settings_identity(recipe)
    if recipe.flow is None:
        # Left out, so that a base that it is not for keeps the keys of recipes without it.
        del settings["flow"]
    if recipe.lora is not None and recipe.lora.base_bits is None:
        # Left out likewise: recipes keep the keys that they had before there was such a setting.
        del settings["lora"]["base_bits"]
    if recipe.prior is not None and recipe.prior.guidance_scale is None:
        # As it was when every base drew with the same. The images drawn are an input of training.
        settings["prior"]["guidance_scale"] = _FORMER_PRIOR_GUIDANCE_SCALE
    if recipe.optimizer in _OPTIMIZER_VERSIONS:
        settings["optimizer"] += f" {_OPTIMIZER_VERSIONS[recipe.optimizer]}"
    return {name: settings[name] for name in sorted(settings) if DECIDES[name] in decides}
