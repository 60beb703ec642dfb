"""The run of a recipe: epochs, snapshots, states to resume from, and the log."""

import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from styledag.ahead import made_ahead
from styledag.bases.find import find_base
from styledag.between_steps import done_by
from styledag.errors import DataError, TrainingError
from styledag.models.compute import Compute
from styledag.progress import Progress
from styledag.settings import json_digest
from styledag.training.batches import Batch, Batches
from styledag.training.compiled import pays
from styledag.training.encoding.dataset import EncodedDataset, EncodedSample
from styledag.training.estimating.estimate import PlannedTraining
from styledag.training.estimating.memory_check import check_memory
from styledag.training.fit import check_fit, check_snapshots
from styledag.training.identity import CODE_VERSION, length_dependence, weights_identity
from styledag.training.loggers import Loggers, open_loggers
from styledag.training.optimising.optimisation import Optimisation
from styledag.training.optimising.readback import Readback
from styledag.training.processes import Processes
from styledag.training.recipe import Recipe
from styledag.training.records import Drawn, OnSnapshot, Snapshot, StepLog, TrainingResult
from styledag.training.room import with_room
from styledag.training.run_record import LOG_FOLDER, write_run_record
from styledag.training.schedule import Schedule
from styledag.training.snapshots.background import Background
from styledag.training.snapshots.files import Snapshots
from styledag.training.snapshots.saving import Saving
from styledag.training.speed import Speed
from styledag.training.states.kept_states import Course, KeptStates, continuation
from styledag.training.states.state import TrainingState, TrainingStates
from styledag.training.stopping import best_snapshot, has_turned
from styledag.training.weights.pass_dtype import in_pass_dtype

_AHEAD = 4
"""Batches that are prepared while the device computes the ones before."""


class UnetRun:
    """One run of a recipe; see :func:`~styledag.training.train.train_unet`.

    Everything follows from the number of optimiser steps taken, so that a run can be interrupted
    and resumed between any two of them.
    """

    def __init__(
        self,
        encoded: EncodedDataset,
        base: Path,
        recipe: Recipe,
        *,
        inputs: Mapping[str, str],
        compute: Compute,
        scratch: Path,
        kept: KeptStates | None,
        work: Counter[str],
        processes: Processes,
    ) -> None:
        self._recipe = recipe
        self._processes = processes
        self._scratch = scratch
        self._work = work
        compute = in_pass_dtype(compute, recipe)
        found = find_base(base)
        objective = found.objective(min_snr_gamma=recipe.min_snr_gamma, flow=recipe.flow)
        self._batches = Batches(encoded, recipe, objective)
        total_steps = self._batches.total_steps
        self._schedule = Schedule.of(recipe, total_steps=total_steps)
        self._course = Course(recipe=recipe, steps_per_epoch=self._batches.steps_per_epoch)
        if recipe.stopping is not None and not encoded.validation:
            raise DataError(
                "the recipe stops by the validation loss, but no image is held out: raise "
                "dataset.validation_share, or remove stopping"
            )
        check_fit(found, encoded)
        planned = PlannedTraining.of(
            encoded, base, recipe, compute=compute, processes=processes.size
        )
        check_memory(planned)
        if compute.compile is None:
            compute = replace(compute, compile=pays(planned))
        self._compute = compute
        self._optimisation = Optimisation(
            found, recipe, objective, compute=compute, processes=processes, total_steps=total_steps
        )
        check_snapshots(self._optimisation.unet, recipe)
        self._run, self._identity = _digests(inputs, recipe, compute, self._optimisation)
        self._states = TrainingStates(scratch / "state")
        self._background = Background()
        self._kept = kept
        self._continued_from_step = 0
        self._began_anew: str | None = None
        self._files = Snapshots(
            scratch / "snapshots", found.parts.denoiser, self._optimisation, recipe
        )
        self._saving = Saving(self._files, self._states, self._background, device=compute.device)
        self._log: list[StepLog] = []
        self._snapshots: list[Snapshot] = []
        if processes.is_first:
            facts = {"steps": total_steps, "identity": self._identity, "base": str(base)}
            write_run_record(
                scratch / LOG_FOLDER, recipe, compute, facts={**facts, "inputs": dict(inputs)}
            )

    def run(self, on_snapshot: OnSnapshot, progress: Progress) -> TrainingResult:
        """Train to the end of the recipe, from where an earlier run ended."""
        began = time.perf_counter()
        self._resume(on_snapshot)
        speed = Speed(self._compute.device)
        done = len(self._log)
        with (
            self._open_loggers() as loggers,
            progress.task("training", self._batches.total_steps, done=done) as advance,
            self._background,
        ):
            for epoch in range(self._epochs_passed + 1, self._recipe.epochs + 1):
                if self._has_turned:
                    break
                for logged in self._epoch(epoch, speed):
                    advance(1, loss=logged.loss, **speed.figures())
                    loggers.step(logged, images_per_s=speed.images_per_s)
                    self._save(logged, on_snapshot, loggers)
        self._keep_state()
        best = best_snapshot(self._snapshots)
        return TrainingResult(
            final=self._final(),
            snapshots=tuple(self._snapshots),
            log=tuple(self._log),
            seconds=time.perf_counter() - began,
            images_per_s=speed.images_per_s,
            best_epoch=None if best is None else best.epoch,
            stopped_early=self._epochs_passed < self._recipe.epochs,
            continued_from_step=self._continued_from_step,
            began_anew=self._began_anew,
        )

    def _open_loggers(self) -> AbstractContextManager[Loggers]:
        return open_loggers(
            self._recipe.loggers if self._processes.is_first else (),
            self._scratch / LOG_FOLDER,
            settings=asdict(self._recipe),
            run_id=self._identity[:16],
            done_steps=len(self._log),
        )

    @property
    def _epochs_passed(self) -> int:
        return len(self._log) // self._batches.steps_per_epoch

    @property
    def _has_turned(self) -> bool:
        stopping = self._recipe.stopping
        return (
            stopping is not None
            and self._course.stops
            and has_turned(self._snapshots, stopping.patience)
        )

    def _epoch(self, epoch: int, speed: Speed) -> Iterator[StepLog]:
        """Take the epoch's steps that are not done yet, yielding each one's log."""
        skip = len(self._log) % self._batches.steps_per_epoch
        steps = list(self._batches.steps(epoch, skip=skip))
        make = (partial(self._batch, each, epoch) for step in steps for each in step)
        batches = (each() for each in make)
        if self._compute.device.type == "cuda":
            # Batches are pinned for the current device, of which each thread has its own.
            begin = partial(torch.cuda.set_device, self._compute.device)
            batches = made_ahead(lambda each: each(), make, ahead=_AHEAD, workers=1, begin=begin)
        launched: deque[_Launched] = deque()
        with closing(batches):
            for step, microsteps in enumerate(steps, start=len(self._log) + 1):
                with speed.step(_style_samples(microsteps)):
                    launched.append(self._launch(batches, microsteps, epoch=epoch, step=step))
                    # A step is read when the device has the next one to compute, unless what is
                    # saved now has to be the weights after it.
                    left = 0 if self._saves_at(step) else 1
                    logged = [self._logged(launched.popleft()) for _ in range(len(launched) - left)]
                yield from logged

    def _saves_at(self, step: int) -> bool:
        every = (self._batches.steps_per_epoch, self._recipe.save_state_every_steps)
        return any(step % each == 0 for each in every)

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

    def _launch(
        self,
        batches: Iterator[Batch],
        microsteps: Sequence[Sequence[EncodedSample]],
        *,
        epoch: int,
        step: int,
    ) -> "_Launched":
        rate = self._schedule.learning_rate(step - 1)
        samples = _style_samples(microsteps)
        figures = self._optimisation.step(batches, len(microsteps), samples, learning_rate=rate)
        return _Launched(step, epoch, samples, rate, figures)

    def _logged(self, launched: "_Launched") -> StepLog:
        """Return the log of a step, once it has been computed."""
        loss, grad_norm = launched.figures.read()
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            raise self._diverged(
                f"optimiser step {launched.step} (epoch {launched.epoch}) has loss {loss} and "
                f"gradient norm {grad_norm}"
            )
        self._work["steps"] += 1
        logged = StepLog(
            step=launched.step,
            epoch=launched.epoch,
            samples=launched.samples,
            loss=loss,
            learning_rate=launched.learning_rate,
            grad_norm=grad_norm,
        )
        self._log.append(logged)
        return logged

    def _diverged(self, what: str) -> TrainingError:
        kept = f"epoch {self._snapshots[-1].epoch}" if self._snapshots else "none yet"
        return TrainingError(
            f"{what}: lower learning_rate or raise lr_warmup_steps; snapshots that stay: up to "
            f"{kept}"
        )

    def _save(self, logged: StepLog, on_snapshot: OnSnapshot, loggers: Loggers) -> None:
        """Save a snapshot, where the step ends an epoch that has one, or a state."""
        ends_epoch = logged.step % self._batches.steps_per_epoch == 0
        if ends_epoch and self._course.has_snapshot(logged.epoch):
            self._background.finish()
            snapshot = self._snapshot(logged.epoch)
            self._snapshots.append(snapshot)
            loggers.snapshot(snapshot)
            if self._processes.is_first:
                self._saving.save_snapshot(
                    snapshot,
                    self._state(handed_over=False),
                    partial(self._hand_over, snapshot, on_snapshot),
                    partial(loggers.samples, snapshot),
                    best_of=tuple(self._snapshots) if self._course.stops else (),
                    is_last=logged.step == self._batches.total_steps or self._has_turned,
                )
            self._processes.wait()
        elif logged.step % self._recipe.save_state_every_steps == 0:
            self._background.finish()
            if self._processes.is_first:
                self._saving.save_state(self._state(handed_over=True))
        self._background.follow_up()

    def _hand_over(self, snapshot: Snapshot, on_snapshot: OnSnapshot) -> Drawn:
        with done_by(partial(with_room, held=self._optimisation.held)):
            drawn = on_snapshot(snapshot)
        self._states.mark_handed_over()
        self._files.prune_best(self._snapshots)
        if snapshot.epoch < self._recipe.epochs:
            self._files.remove(snapshot)
        return drawn or {}

    def _snapshot(self, epoch: int) -> Snapshot:
        optimisation = self._optimisation
        bands = optimisation.averaged_losses(self._batches.validation_batches())
        if not all(map(math.isfinite, bands.values())):
            raise self._diverged(
                f"the validation loss after epoch {epoch} is {sum(bands.values()) / len(bands)}, "
                "so its steps have ruined the weights"
            )
        steps = [each for each in self._log if each.epoch == epoch]
        samples = sum(each.samples for each in steps)
        return self._files.snapshot(
            {
                "epoch": epoch,
                "step": len(self._log),
                "loss": sum(each.loss * each.samples for each in steps) / samples,
                "validation_loss": sum(bands.values()) / len(bands) if bands else None,
                "validation_bands": [bands[band] for band in sorted(bands)],
                "base_share": optimisation.ema.base_share,
            }
        )

    def _final(self) -> Snapshot:
        """Return the run's model, whose files are written again if they were moved away."""
        best = best_snapshot(self._snapshots)
        if self._course.stops and best is not None:
            return self._files.best(best)
        final = self._snapshots[-1]
        if self._processes.is_first and not final.folder.exists():
            self._files.write(final)
        return final

    def _state(self, *, handed_over: bool) -> TrainingState:
        return TrainingState(
            identity=self._identity,
            step=len(self._log),
            log=tuple(self._log),
            snapshots=[each.figures() for each in self._snapshots],
            tensors=self._optimisation.tensors(),
            handed_over=handed_over,
        )

    def _keep_state(self) -> None:
        if self._kept is not None and self._recipe.keep_state and self._processes.is_first:
            self._states.copy_to(self._kept.of(self._run))

    def _resume(self, on_snapshot: OnSnapshot) -> None:
        state = self._states.load(self._identity)
        if state is not None and not self._has_all_of(state):
            state = None
        received = state is not None and state.handed_over
        if state is None and self._kept is not None:
            state, self._began_anew = continuation(
                self._kept, self._course, run=self._run, identity=self._identity
            )
            if state is not None:
                self._continued_from_step = state.step
                received = self._kept.has_snapshot(state.step // self._batches.steps_per_epoch)
        if state is None:
            return
        self._optimisation.restore(state.tensors, step=state.step)
        self._log = list(state.log)
        self._snapshots = [
            self._files.snapshot(each)
            for each in state.snapshots
            if self._course.has_snapshot(each["epoch"])
        ]
        if self._processes.is_first:
            self._files.prune_best(self._snapshots)
            for each in self._snapshots:
                if each.epoch < self._recipe.epochs:
                    self._files.remove(each)
                if each.step == state.step and not received:
                    self._files.write(each)
                    self._hand_over(each, on_snapshot)

    def _has_all_of(self, state: TrainingState) -> bool:
        """Return whether all that an interrupted run handed over before a state is there."""
        if self._course.obstacle(state, lambda _: True) is not None:
            return False
        best = best_snapshot([self._files.snapshot(each) for each in state.snapshots])
        # A stopped run's best weights are nowhere else.
        return not self._course.stops or best is None or self._files.best(best).folder.exists()


@dataclass(frozen=True)
class _Launched:
    """An optimiser step that the device may still be computing."""

    step: int
    epoch: int
    samples: int
    learning_rate: float
    figures: Readback


def _style_samples(microsteps: Sequence[Sequence[EncodedSample]]) -> int:
    return sum(each.split != "prior" for samples in microsteps for each in samples)


def _digests(
    inputs: Mapping[str, str], recipe: Recipe, compute: Compute, optimisation: Optimisation
) -> tuple[str, str]:
    """Return digests of what decides a run but for its length, and of what decides its states."""
    parts = {
        "code_version": CODE_VERSION,
        "inputs": inputs,
        "recipe": weights_identity(recipe),
        "trained": {name: list(each.shape) for name, each in optimisation.trained.items()},
        "compute": [compute.device.type, str(compute.dtype), *_passes(compute)],
    }
    length = {} if length_dependence(recipe) is None else {"epochs": recipe.epochs}
    return json_digest(parts), json_digest(parts | length)


def _passes(compute: Compute) -> tuple[str, ...]:
    """Return what else decides the passes below float32, which once were autocast's."""
    return () if compute.dtype == torch.float32 else ("weights rounded",)
