"""The run of a recipe: epochs, snapshots, states to resume from, and the log."""

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from styledag.bases.find import find_base
from styledag.errors import DataError, TrainingError
from styledag.models.compute import Compute
from styledag.progress import Progress
from styledag.settings import canonical_json, settings_identity
from styledag.training.batches import Batch, Batches
from styledag.training.encoding.dataset import EncodedDataset, EncodedSample
from styledag.training.estimating.estimate import PlannedTraining
from styledag.training.estimating.memory_check import check_memory
from styledag.training.fit import check_fit
from styledag.training.loggers import Loggers, open_loggers
from styledag.training.optimisation import Optimisation
from styledag.training.prefetch import prefetched
from styledag.training.processes import Processes
from styledag.training.recipe import Recipe
from styledag.training.records import Snapshot, StepLog, TrainingResult
from styledag.training.run_record import write_run_record
from styledag.training.schedule import learning_rate
from styledag.training.snapshots.files import Snapshots
from styledag.training.speed import Speed
from styledag.training.state import TrainingState, TrainingStates
from styledag.training.stopping import best_snapshot, has_turned

LOG_FOLDER = "log"
"""Below a run's scratch folder: what it was begun with, and its loggers' files."""


class Trainer:
    """One run of a recipe; see :func:`~styledag.training.train.train_unet`.

    Everything follows from the number of optimiser steps taken, so that a run can be left and
    taken up between any two of them.

    Args:
        encoded: Images and captions.
        base: Folder in diffusers' layout.
        recipe: What to do.
        compute: Device and dtype of autocast.
        scratch: Folder for states and snapshots.
        work: Counts ``steps``.
        processes: Those that train together, all with the same scratch folder.
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
        processes: Processes,
    ) -> None:
        self._recipe = recipe
        self._compute = compute
        self._processes = processes
        self._scratch = scratch
        self._work = work
        found = find_base(base)
        objective = found.objective(min_snr_gamma=recipe.min_snr_gamma)
        self._batches = Batches(encoded, recipe, objective)
        total_steps = self._batches.total_steps
        learning_rate(recipe, 0, total_steps=total_steps)  # refuses early
        if recipe.stopping is not None and not encoded.validation:
            raise DataError(
                "the recipe stops by the validation loss, but no image is held out: raise "
                "dataset.validation_share, or remove stopping"
            )
        check_fit(found, encoded)
        check_memory(
            PlannedTraining.of(encoded, base, recipe, compute=compute, processes=processes.size)
        )
        self._optimisation = Optimisation(
            found, recipe, objective, compute=compute, processes=processes, total_steps=total_steps
        )
        self._identity = _identity(encoded, recipe, compute, self._optimisation)
        self._states = TrainingStates(scratch / "state")
        self._files = Snapshots(scratch / "snapshots", self._optimisation, recipe)
        self._log: list[StepLog] = []
        self._snapshots: list[Snapshot] = []
        if processes.is_first:
            facts = {"steps": total_steps, "identity": self._identity, "base": str(base)}
            write_run_record(scratch / LOG_FOLDER, recipe, compute, facts=facts)

    def run(self, on_snapshot: Callable[[Snapshot], None], progress: Progress) -> TrainingResult:
        """Train to the end of the recipe, from where an earlier run was cut off."""
        began = time.perf_counter()
        self._resume()
        speed = Speed(self._compute.device)
        with (
            self._open_loggers() as loggers,
            progress.task("training", self._batches.total_steps) as advance,
        ):
            if self._log:
                advance(len(self._log), loss=self._log[-1].loss)
            for epoch in range(self._epochs_passed + 1, self._recipe.epochs + 1):
                if self._has_turned:
                    break
                for logged in self._epoch(epoch, speed):
                    advance(1, loss=logged.loss, **speed.figures())
                    loggers.step(logged, images_per_s=speed.images_per_s)
                    self._keep(logged, on_snapshot, loggers)
        best = best_snapshot(self._snapshots)
        return TrainingResult(
            final=self._final(),
            snapshots=tuple(self._snapshots),
            log=tuple(self._log),
            seconds=time.perf_counter() - began,
            images_per_s=speed.images_per_s,
            best_epoch=None if best is None else best.epoch,
            stopped_early=self._epochs_passed < self._recipe.epochs,
        )

    def _open_loggers(self) -> AbstractContextManager[Loggers]:
        recipe = self._recipe if self._processes.is_first else replace(self._recipe, loggers=())
        folder = self._scratch / LOG_FOLDER
        return open_loggers(recipe, folder, run_id=self._identity[:16], done_steps=len(self._log))

    @property
    def _epochs_passed(self) -> int:
        return len(self._log) // self._batches.steps_per_epoch

    @property
    def _stops(self) -> bool:
        return self._recipe.stopping is not None and self._recipe.stopping.action == "stop"

    @property
    def _has_turned(self) -> bool:
        stopping = self._recipe.stopping
        return (
            self._stops and stopping is not None and has_turned(self._snapshots, stopping.patience)
        )

    def _epoch(self, epoch: int, speed: Speed) -> Iterator[StepLog]:
        """Take the epoch's steps that are not done yet, yielding each one's log."""
        skip = len(self._log) % self._batches.steps_per_epoch
        steps = list(self._batches.steps(epoch, skip=skip))
        make = (partial(self._batch, each, epoch) for step in steps for each in step)
        if self._compute.device.type == "cuda":
            batches = prefetched(make)
        else:
            batches = (each() for each in make)
        for microsteps in steps:
            with speed.step(_style_samples(microsteps)):
                logged = self._step(batches, microsteps, epoch)
            yield logged

    def _batch(self, samples: Sequence[EncodedSample], epoch: int) -> Batch:
        """Return this process's part of a microstep."""
        share = self._processes.share(samples)
        # Processes wait for each other in every pass, so each needs something to look at.
        batch = (
            self._batches.training_batch(share, epoch)
            if share
            else self._batches.training_batch(samples[:1], epoch).weightless()
        )
        return batch.pinned() if self._compute.device.type == "cuda" else batch

    def _step(
        self, batches: Iterator[Batch], microsteps: Sequence[Sequence[EncodedSample]], epoch: int
    ) -> StepLog:
        done = len(self._log)
        rate = learning_rate(self._recipe, done, total_steps=self._batches.total_steps)
        samples = _style_samples(microsteps)
        loss, grad_norm = self._optimisation.step(
            batches, len(microsteps), samples, learning_rate=rate
        )
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

    def _keep(
        self, logged: StepLog, on_snapshot: Callable[[Snapshot], None], loggers: Loggers
    ) -> None:
        # A state stands for all snapshots up to its step, so it is saved after they are received.
        if self._is_snapshot(logged):
            snapshot = self._snapshot(logged.epoch)
            self._snapshots.append(snapshot)
            loggers.snapshot(snapshot)
            if self._processes.is_first:
                self._hand_over(snapshot, on_snapshot)
        elif logged.step % self._recipe.save_state_every_steps == 0:
            self._save_state()

    def _hand_over(self, snapshot: Snapshot, on_snapshot: Callable[[Snapshot], None]) -> None:
        if self._stops:
            self._files.keep_best(snapshot, self._snapshots)
        on_snapshot(snapshot)
        self._save_state()
        self._files.prune_best(self._snapshots)
        if snapshot.epoch < self._recipe.epochs:
            self._files.remove(snapshot)

    def _is_snapshot(self, logged: StepLog) -> bool:
        if logged.step % self._batches.steps_per_epoch != 0:
            return False
        is_last = logged.epoch == self._recipe.epochs
        return is_last or logged.epoch % self._recipe.snapshot_every_epochs == 0

    def _snapshot(self, epoch: int) -> Snapshot:
        optimisation = self._optimisation
        bands = optimisation.averaged_losses(self._batches.validation_batches())
        steps = [each for each in self._log if each.epoch == epoch]
        samples = sum(each.samples for each in steps)
        written = self._files.paths(epoch)
        if self._processes.is_first:
            self._files.write(written)
        self._processes.wait()
        return replace(
            written,
            step=len(self._log),
            loss=sum(each.loss * each.samples for each in steps) / samples,
            validation_loss=sum(bands.values()) / len(bands) if bands else None,
            validation_bands=tuple(bands[band] for band in sorted(bands)),
            base_share=optimisation.ema.base_share,
        )

    def _final(self) -> Snapshot:
        """Return the run's model, whose files are there again if somebody took them away."""
        best = best_snapshot(self._snapshots)
        if self._stops and best is not None:
            return self._files.best(best)
        final = self._snapshots[-1]
        if self._processes.is_first and not final.folder.exists():
            self._files.write(final)
        return final

    def _save_state(self) -> None:
        if not self._processes.is_first:
            return
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
        snapshots = [self._files.placed(each) for each in state.snapshots]
        best = best_snapshot(snapshots)
        if self._stops and best is not None and not self._files.best(best).folder.exists():
            return  # Its weights are nowhere else.
        self._optimisation.restore(state.tensors, step=state.step)
        self._log = list(state.log)
        self._snapshots = snapshots


def _style_samples(microsteps: Sequence[Sequence[EncodedSample]]) -> int:
    return sum(each.split != "prior" for samples in microsteps for each in samples)


def _identity(
    encoded: EncodedDataset, recipe: Recipe, compute: Compute, optimisation: Optimisation
) -> str:
    """Return a digest of what a state must have been made with to be gone on from."""
    from styledag.training.train import CODE_VERSION

    parts = {
        "code_version": CODE_VERSION,
        "recipe": settings_identity(recipe),
        "samples": [asdict(each) for each in encoded.samples],
        "captions": encoded.captions,
        "trained": {name: list(each.shape) for name, each in optimisation.trained.items()},
        "compute": [compute.device.type, str(compute.dtype)],
    }
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()
