"""The decoder in training: steps, the average, and states to resume from."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styledag.bases.find import find_base
from styledag.errors import TrainingError
from styledag.models.compute import Compute
from styledag.progress import Progress
from styledag.settings import json_digest
from styledag.training.averaging.ema import Ema
from styledag.training.decoder.batches import DecoderBatches, Pairs
from styledag.training.decoder.file import write_tuned_vae
from styledag.training.decoder.identity import CODE_VERSION, DecoderResult, decoder_identity
from styledag.training.encoding.dataset import EncodedDataset, EncodedSample
from styledag.training.optimising.optimizers import Optimizer, OptimizerSettings
from styledag.training.recipe import DecoderSettings, EmaSettings, Recipe
from styledag.training.records import StepLog
from styledag.training.states.state import TrainingState, TrainingStates, tensors_below

_ABSOLUTE = 0.5


def reconstruction_error(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the mean of the squared error and half of the absolute one, which keeps edges sharp.

    Args:
        decoded: What the decoder gives, float32. # B3HW
        pixels: The images themselves, in -1 to 1. # B3HW
    """
    difference = decoded - pixels
    return (difference.square() + _ABSOLUTE * difference.abs()).mean()


class DecoderRun:
    """One run; see :func:`~styledag.training.decoder.train.train_decoder`."""

    def __init__(
        self,
        encoded: EncodedDataset,
        images: Callable[[EncodedSample], Tensor],
        base: Path,
        recipe: Recipe,
        settings: DecoderSettings,
        *,
        inputs: Mapping[str, str],
        compute: Compute,
        work: Counter[str],
    ) -> None:
        if compute.dtype == torch.float16:
            raise TrainingError(
                "the autoencoder overflows in float16: set dtype to bfloat16, or to float32 where "
                "the device has no bfloat16"
            )
        self._recipe, self._settings = recipe, settings
        self._compute, self._work = compute, work
        # In evaluation mode, since dropout layers would draw from the global random state.
        found = find_base(base)
        self._vae_folder = base / found.parts.autoencoder
        self._autoencoder = found.autoencoder(device=compute.device)
        if recipe.gradient_checkpointing:
            self._autoencoder.model.enable_gradient_checkpointing()
        decoding = self._autoencoder.decoding
        self._trained = {
            name: parameter
            for name, parameter in self._autoencoder.model.named_parameters()
            if parameter.requires_grad_(name.startswith(decoding)).requires_grad
        }
        self._batches = DecoderBatches(
            encoded,
            images,
            seed=recipe.seed,
            mirrored=recipe.horizontal_flip,
            batch_size=settings.batch_size,
            factor=found.latents.factor_px,
        )
        self._total_steps = self._batches.steps_per_epoch * settings.epochs
        average = EmaSettings(mode="base", decay=settings.ema_decay)
        self._ema = Ema(self._trained, average, total_steps=self._total_steps)
        self._optimizer = Optimizer(
            self._trained, replace(OptimizerSettings.of(recipe), kind="adamw")
        )
        self._identity = _identity(decoder_identity(recipe), inputs, compute)
        self._log: list[StepLog] = []

    def run(self, scratch: Path, progress: Progress) -> DecoderResult:
        """Train to the end, from where an interrupted run ended."""
        began = time.perf_counter()
        base_error = self._error()
        states = TrainingStates(scratch / "state")
        self._resume(states)
        per_epoch = self._batches.steps_per_epoch
        with progress.task("decoder", self._total_steps, done=len(self._log)) as advance:
            for epoch in range(len(self._log) // per_epoch + 1, self._settings.epochs + 1):
                for samples in self._batches.steps(epoch, skip=len(self._log) % per_epoch):
                    logged = self._step(self._batches.training_pairs(samples, epoch), epoch)
                    self._log.append(logged)
                    if logged.step % self._recipe.save_state_every_steps == 0:
                        self._save(states)
                    advance(1, loss=logged.loss)
        with self._ema.in_place():
            error = self._error()
        folder = scratch / self._vae_folder.name
        write_tuned_vae(self._vae_folder, self._ema.averages, folder)
        self._save(states)
        return DecoderResult(
            folder=folder,
            log=tuple(self._log),
            base_share=self._ema.base_share,
            error=error,
            base_error=base_error,
            seconds=time.perf_counter() - began,
        )

    def _step(self, pairs: Pairs, epoch: int) -> StepLog:
        done = len(self._log)
        loss = self._loss(pairs)
        torch.autograd.backward(loss)
        rate = self._settings.learning_rate
        norm = self._optimizer.step(rate, step=done, max_grad_norm=self._recipe.max_grad_norm)
        logged = StepLog(
            step=done + 1,
            epoch=epoch,
            samples=len(pairs),
            loss=float(loss.detach()),
            learning_rate=rate,
            grad_norm=float(norm),
        )
        if not (math.isfinite(logged.loss) and math.isfinite(logged.grad_norm)):
            raise TrainingError(
                f"optimiser step {logged.step} of the decoder (epoch {epoch}) has loss "
                f"{logged.loss} and gradient norm {logged.grad_norm}: lower "
                "decoder.learning_rate"
            )
        self._optimizer.zero_grad()
        self._ema.update()
        self._work["decoder_steps"] += 1
        return logged

    def _loss(self, pairs: Pairs) -> Tensor:
        device, dtype = self._compute.device, self._compute.dtype
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            decoded = self._autoencoder.decode(pairs.latents.to(device))
        return reconstruction_error(decoded, pairs.pixels.to(device))

    @torch.no_grad()
    def _error(self) -> float | None:
        """Return the mean error on the held-out images; ``None`` without any."""
        errors = [float(self._loss(pairs)) for pairs in self._batches.validation_pairs()]
        return sum(errors) / len(errors) if errors else None

    def _save(self, states: TrainingStates) -> None:
        tensors = {f"optimizer/{name}": each for name, each in self._optimizer.tensors().items()}
        tensors |= {f"weights/{name}": each.detach() for name, each in self._trained.items()}
        tensors |= {f"averages/{name}": each for name, each in self._ema.averages.items()}
        states.save(
            TrainingState(
                identity=self._identity,
                step=len(self._log),
                log=self._log,
                snapshots=(),
                tensors=tensors,
            )
        )

    @torch.no_grad()
    def _resume(self, states: TrainingStates) -> None:
        state = states.load(self._identity)
        if state is None:
            return
        for name, parameter in self._trained.items():
            parameter.copy_(state.tensors[f"weights/{name}"])
            self._ema.averages[name].copy_(state.tensors[f"averages/{name}"])
        self._optimizer.restore(tensors_below("optimizer/", state.tensors))
        self._ema.step = state.step
        self._log = list(state.log)


def _identity(settings: Mapping[str, Any], inputs: Mapping[str, str], compute: Compute) -> str:
    """Return a digest of what a state must have been made with to be resumed from."""
    parts = {
        "code_version": CODE_VERSION,
        "decoder": settings,
        "inputs": inputs,
        "compute": [compute.device.type, str(compute.dtype)],
    }
    return json_digest(parts)
