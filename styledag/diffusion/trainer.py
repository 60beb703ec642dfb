"""The run of a recipe: epochs, snapshots, states to resume from, and the log."""

import hashlib
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from styledag.diffusion.base import load_scheduler
from styledag.diffusion.batches import Batches
from styledag.diffusion.encoded import EncodedDataset, EncodedSample
from styledag.diffusion.fit import check_fit
from styledag.diffusion.loss import DiffusionLoss
from styledag.diffusion.optimisation import Optimisation
from styledag.diffusion.recipe import Recipe
from styledag.diffusion.records import Snapshot, StepLog, TrainingResult
from styledag.diffusion.schedule import learning_rate
from styledag.diffusion.snapshot import write_unet
from styledag.diffusion.state import TrainingState, TrainingStates
from styledag.errors import TrainingError
from styledag.models.compute import Compute
from styledag.progress import Progress
from styledag.settings import canonical_json, settings_identity


class Trainer:
    """One run of a recipe; see :func:`~styledag.diffusion.train.train_unet`.

    Everything follows from the number of optimiser steps taken, so that a run can be left and
    taken up between any two of them.

    Args:
        encoded: Pictures and captions.
        base: Folder in diffusers' layout.
        recipe: What to do.
        compute: Device and number format of autocast.
        scratch: Folder for states and snapshots.
        work: Counts ``steps``.
    """

    def __init__(
        self,
        encoded: EncodedDataset,
        base: Path,
        recipe: Recipe,
        *,
        compute: Compute,
        scratch: Path,
        work: Counter[str],
    ) -> None:
        self._recipe = recipe
        self._scratch = scratch
        self._work = work
        loss = DiffusionLoss(load_scheduler(base), min_snr_gamma=recipe.min_snr_gamma)
        self._batches = Batches(encoded, recipe, timesteps=loss.timesteps)
        learning_rate(recipe, 0, total_steps=self._batches.total_steps)  # refuses early
        self._optimisation = Optimisation(
            base, recipe, loss, compute=compute, total_steps=self._batches.total_steps
        )
        check_fit(self._optimisation.unet, encoded, base)
        self._identity = _identity(encoded, recipe, compute, self._optimisation)
        self._states = TrainingStates(scratch / "state")
        self._log: list[StepLog] = []
        self._snapshots: list[Snapshot] = []

    def run(self, on_snapshot: Callable[[Snapshot], None], progress: Progress) -> TrainingResult:
        """Train to the end of the recipe, from where an earlier run was cut off."""
        began = time.perf_counter()
        self._resume()
        images, training_s = 0, 0.0
        per_epoch = self._batches.steps_per_epoch
        with progress.task("training", self._batches.total_steps) as advance:
            if self._log:
                advance(len(self._log), loss=self._log[-1].loss)
            for epoch in range(len(self._log) // per_epoch + 1, self._recipe.epochs + 1):
                for microsteps in self._batches.steps(epoch, skip=len(self._log) % per_epoch):
                    step_began = time.perf_counter()
                    logged = self._step(microsteps, epoch)
                    training_s += time.perf_counter() - step_began
                    images += logged.samples
                    advance(1, loss=logged.loss, images_per_s=images / training_s)
                    self._keep(logged, on_snapshot)
        return TrainingResult(
            final=self._final(),
            snapshots=tuple(self._snapshots),
            log=tuple(self._log),
            seconds=time.perf_counter() - began,
            images_per_s=images / training_s if images else 0.0,
        )

    def _step(self, microsteps: Sequence[Sequence[EncodedSample]], epoch: int) -> StepLog:
        done = len(self._log)
        rate = learning_rate(self._recipe, done, total_steps=self._batches.total_steps)
        samples = sum(each.split != "prior" for part in microsteps for each in part)
        batches = (self._batches.training_batch(each, epoch) for each in microsteps)
        loss, grad_norm = self._optimisation.step(batches, samples, learning_rate=rate)
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            kept = f"epoch {self._snapshots[-1].epoch}" if self._snapshots else "none yet"
            raise TrainingError(
                f"optimiser step {done + 1} (epoch {epoch}) has loss {loss} and gradient norm "
                f"{grad_norm}: lower learning_rate or raise lr_warmup_steps; "
                f"snapshots that stay: up to {kept}"
            )
        self._work["steps"] += 1
        logged = StepLog(
            step=done + 1,
            epoch=epoch,
            samples=samples,
            loss=loss,
            learning_rate=rate,
            grad_norm=grad_norm,
        )
        self._log.append(logged)
        return logged

    def _keep(self, logged: StepLog, on_snapshot: Callable[[Snapshot], None]) -> None:
        # A state stands for all snapshots up to its step, so it is saved after they are received.
        if self._is_snapshot(logged):
            snapshot = self._snapshot(logged.epoch)
            on_snapshot(snapshot)
            self._snapshots.append(snapshot)
            self._save_state()
            if logged.epoch < self._recipe.epochs:
                shutil.rmtree(snapshot.folder, ignore_errors=True)
        elif logged.step % self._recipe.save_state_every_steps == 0:
            self._save_state()

    def _is_snapshot(self, logged: StepLog) -> bool:
        if logged.step % self._batches.steps_per_epoch != 0:
            return False
        is_last = logged.epoch == self._recipe.epochs
        return is_last or logged.epoch % self._recipe.snapshot_every_epochs == 0

    def _snapshot(self, epoch: int) -> Snapshot:
        optimisation = self._optimisation
        folder = self._folder(epoch)
        write_unet(optimisation.unet, optimisation.ema.averages, folder)
        steps = [each for each in self._log if each.epoch == epoch]
        samples = sum(each.samples for each in steps)
        return Snapshot(
            epoch=epoch,
            step=len(self._log),
            folder=folder,
            loss=sum(each.loss * each.samples for each in steps) / samples,
            validation_loss=optimisation.averaged_loss(
                batch for _, batch in self._batches.validation_batches()
            ),
            base_share=optimisation.ema.base_share,
        )

    def _final(self) -> Snapshot:
        final = self._snapshots[-1]
        if not final.folder.exists():
            write_unet(self._optimisation.unet, self._optimisation.ema.averages, final.folder)
        return final

    def _folder(self, epoch: int) -> Path:
        return self._scratch / "snapshots" / f"e{epoch:03d}" / "unet"

    def _save_state(self) -> None:
        self._states.save(
            TrainingState(
                identity=self._identity,
                step=len(self._log),
                log=self._log,
                snapshots=self._snapshots,
                tensors=self._optimisation.tensors(),
            )
        )

    def _resume(self) -> None:
        state = self._states.load(self._identity)
        if state is None:
            return
        self._optimisation.restore(state.tensors, step=state.step)
        self._log = list(state.log)
        self._snapshots = [
            replace(each, folder=self._folder(each.epoch)) for each in state.snapshots
        ]


def _identity(
    encoded: EncodedDataset, recipe: Recipe, compute: Compute, optimisation: Optimisation
) -> str:
    """Return a digest of what a state must have been made with to be gone on from."""
    from styledag.diffusion.train import CODE_VERSION

    parts = {
        "code_version": CODE_VERSION,
        "recipe": settings_identity(recipe),
        "samples": [asdict(each) for each in encoded.samples],
        "captions": encoded.captions,
        "trained": {name: list(each.shape) for name, each in optimisation.trained.items()},
        "compute": [compute.device.type, str(compute.dtype)],
    }
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()
