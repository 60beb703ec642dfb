"""The steps, snapshots and result of a training run. Standard library only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from styledag.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class StepLog:
    """One optimiser step; the same on every run with the same inputs.

    Attributes:
        step: Optimiser steps taken, this one included.
        epoch: The pass over the training split that it belongs to; from 1.
        samples: Images that it saw.
        loss: Their mean loss, weighted as the recipe says.
        grad_norm: Norm of the gradient before it was clipped.
    """

    step: int
    epoch: int
    samples: int
    loss: float
    learning_rate: float
    grad_norm: float


def second_average(denoiser: str) -> str:
    """Return the name of the folder for a denoiser's second average."""
    return f"{denoiser}_second"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The averaged UNet after an epoch.

    Attributes:
        recipe: The recipe that the run began with, whatever becomes of the style file meanwhile.
        step: Optimiser steps taken.
        folder: The UNet in diffusers' layout (``config.json`` and 16-bit safetensors), under the
            name that the denoiser's folder has in the base. It is
            there until the receiver returns; that of the last epoch stays.
        loss: Mean training loss over the epoch's images.
        validation_loss: Mean loss of the averaged UNet on the validation split, always with the
            same noise; ``None`` if the split is empty.
        validation_bands: The same for each equal part of the timesteps, from the least noise to
            the most; empty if the split is.
        base_share: Share of the base's weights that the average still holds.
        second: Mode ``power``: the UNet of the second average, as ``folder`` holds the first;
            ``None`` in all other modes.
        lora: Folder of the averaged adapters alone, as diffusers and as kohya's tools read them;
            ``None`` if the recipe trains none.
    """

    recipe: Recipe
    epoch: int
    step: int
    folder: Path
    loss: float
    validation_loss: float | None
    base_share: float
    validation_bands: tuple[float, ...] = ()
    second: Path | None = None
    lora: Path | None = None

    def figures(self) -> dict[str, Any]:
        """Return the snapshot as JSON values, without its recipe and its files' places."""
        left_out = ("recipe", "folder", "second", "lora")
        names = [each.name for each in fields(self) if each.name not in left_out]
        return {name: getattr(self, name) for name in names}


Drawn = Mapping[tuple[str, int], Path]
"""PNGs that were drawn of a snapshot, by prompt and seed."""
OnSnapshot = Callable[[Snapshot], Drawn | None]
"""Receives a snapshot, and returns what it drew of it."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """The outcome of a run, whether or not it was interrupted.

    Attributes:
        final: The snapshot that the run gives as its model, with its folder: that of the last
            epoch, or the best one if the recipe stops at it.
        snapshots: All snapshots in order; only the final one's folder is still there.
        log: Every optimiser step of the run.
        seconds: Time that this process took; a resumed run counts from its resumption.
        images_per_s: Images trained on in this process over the time spent on training steps;
            0 if nothing was left to do.
        best_epoch: Epoch of the snapshot with the lowest validation loss; ``None`` without one.
        stopped_early: Whether the validation loss had turned, so that epochs were left out.
        continued_from_step: Optimiser steps of a finished, shorter run that this one continued; 0
            if it began with the base.
        began_anew: Why a finished run of the same recipe with another number of epochs could not
            be continued, as a sentence; ``None`` if there was none, or it was continued.
    """

    final: Snapshot
    snapshots: tuple[Snapshot, ...]
    log: tuple[StepLog, ...]
    seconds: float
    images_per_s: float
    best_epoch: int | None = None
    stopped_early: bool = False
    continued_from_step: int = 0
    began_anew: str | None = None
