"""The weights in training: one optimiser step, the average after it, and what to resume from."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from styledag.bases.base import Base, Objective
from styledag.bases.compiled import compile_modules
from styledag.models.compute import Compute
from styledag.training.averaging.ema import Ema
from styledag.training.batches import Batch
from styledag.training.lora import LoraAdapters
from styledag.training.optimising.frozen_base import FrozenBase
from styledag.training.optimising.optimizers import Optimizer, OptimizerSettings
from styledag.training.optimising.readback import Readback
from styledag.training.processes import Processes
from styledag.training.recipe import Recipe
from styledag.training.states.state import tensors_below
from styledag.training.trainable import Trainable


class Optimisation:
    """A base's denoiser, or adapters of it, with an optimiser and the moving average.

    The averages are float32. So are weights, gradients and moments, while the passes run in the
    dtype of ``compute``; or the weights are bfloat16, as the recipe says.

    Args:
        base: The base.
        recipe: What is trained and how.
        objective: The base's own objective.
        compute: Device and dtype.
        processes: Those that train together; each sees a part of every microstep.
        total_steps: Optimiser steps of the whole run.

    Attributes:
        unet: The denoiser, whose trained weights change.
        trained: Those weights by name.
        adapters: The denoiser's adapters, if the recipe trains such.
        ema: Averages of the trained weights.

    Raises:
        TrainingError: If the base has no such part to train.
        ModelError: If the denoiser cannot be loaded.
    """

    def __init__(
        self,
        base: Base,
        recipe: Recipe,
        objective: Objective,
        *,
        compute: Compute,
        processes: Processes,
        total_steps: int,
    ) -> None:
        self._recipe = recipe
        self._base = base
        self._objective = objective
        self._compute = compute
        self._processes = processes
        bits = recipe.base_bits
        # What is to be quantised may be larger than the device's memory.
        self.unet: Any = base.denoiser(
            device=compute.device if bits is None else "cpu", dtype=getattr(torch, recipe.weights)
        )
        if compute.channels_last:
            self.unet.to(memory_format=torch.channels_last)
        chosen = Trainable(base, recipe)
        self.adapters = None if recipe.lora is None else LoraAdapters(self.unet, recipe, chosen)
        if self.adapters is not None and bits is not None:
            self.adapters.quantise(base, bits, device=compute.device, dtype=compute.dtype)
        self.trained: Mapping[str, nn.Parameter] = (
            chosen.select(self.unet) if self.adapters is None else self.adapters.parameters
        )
        if recipe.gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        if compute.compile:
            compile_modules(self.unet, base)
        ema_device = torch.device("cpu") if recipe.ema_on_cpu else None
        self.ema = Ema(self.trained, recipe.ema, total_steps=total_steps, device=ema_device)
        self._optimizer = Optimizer(
            self.trained,
            OptimizerSettings.of(recipe),
            rate_shares=chosen.rate_shares(self.trained),
        )
        self._model = processes.wrapped(self.unet)
        self._frozen = FrozenBase(base, compute) if recipe.dropped_captions == "base" else None

    def step(
        self, batches: Iterator[Batch], microsteps: int, samples: int, *, learning_rate: float
    ) -> Readback:
        """Take one optimiser step and return its mean loss and the gradient's norm.

        On CUDA nothing waits for the device: both numbers arrive when the step has been computed.

        Args:
            batches: This process's part of each microstep; never empty.
            microsteps: How many of them to take.
            samples: Samples in all of them and all processes, over which the loss is the mean.
            learning_rate: For this step.
        """
        total = torch.zeros((), device=self._compute.device)
        for number in range(microsteps):
            loss = None
            is_last = number == microsteps - 1
            alone = nullcontext() if is_last else self._processes.unsynchronised(self._model)
            with alone:
                loss = self._losses(self._model, next(batches)).sum() / samples
                # Gradients are averaged over processes, where a sum is wanted.
                torch.autograd.backward(loss * self._processes.size)
            total += loss.detach()
        grad_norm = torch.nn.utils.clip_grad_norm_(
            self.trained.values(), self._recipe.max_grad_norm
        )
        figures = Readback(torch.stack([self._processes.summed(total), grad_norm.float()]))
        self._optimizer.step(learning_rate, step=self.ema.step)
        self.ema.update()
        self._optimizer.zero_grad()
        return figures

    @torch.no_grad()
    def averaged_losses(self, batches: Iterable[tuple[int, Batch]]) -> dict[int, float]:
        """Return the mean loss of the averaged weights in each band of the timesteps.

        Args:
            batches: Bands, and batches in them; the same in every process.
        """
        totals: dict[int, Tensor] = {}
        samples: dict[int, int] = {}
        with self.ema.in_place():
            for at, (band, batch) in enumerate(batches):
                samples[band] = samples.get(band, 0) + len(batch)
                totals.setdefault(band, torch.zeros((), device=self._compute.device))
                if at % self._processes.size == self._processes.rank:
                    totals[band] += self._losses(self.unet, batch).sum()
        return {
            band: float(self._processes.summed(total)) / samples[band]
            for band, total in totals.items()
        }

    def whole(self, averages: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return all weights of a plain denoiser, averaged where they are trained.

        Args:
            averages: One of the averages in :attr:`ema`.
        """
        if self.adapters is not None:
            return self.adapters.folded(averages)
        return {**self.unet.state_dict(), **averages}

    def tensors(self) -> dict[str, Tensor]:
        """Return all that :meth:`restore` needs, without a copy."""
        tensors = {f"weights/{name}": each.detach() for name, each in self.trained.items()}
        tensors |= {f"averages/{name}": each for name, each in self._averages().items()}
        return tensors | {f"moments/{k}": each for k, each in self._optimizer.tensors().items()}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], *, step: int) -> None:
        """Become what :meth:`tensors` was taken from.

        Args:
            tensors: As they were.
            step: Optimiser steps that had been taken; above 0.
        """
        for name, parameter in self.trained.items():
            parameter.copy_(tensors[f"weights/{name}"])
        for name, average in self._averages().items():
            average.copy_(tensors[f"averages/{name}"])
        self.ema.step = step
        self._optimizer.restore(tensors_below("moments/", tensors))

    def _averages(self) -> dict[str, Tensor]:
        if self._recipe.ema.mode == "none":
            return {}
        second = self.ema.second or {}
        return {**self.ema.averages, **{f"second/{name}": each for name, each in second.items()}}

    def _losses(self, model: nn.Module, batch: Batch) -> Tensor:
        batch = batch.to(self._compute.device)
        noisy_latents = self._objective.noisy(batch.latents, batch.noise, batch.timesteps)
        if self._compute.channels_last:
            noisy_latents = noisy_latents.contiguous(memory_format=torch.channels_last)
        target = self._objective.target(batch.latents, batch.noise, batch.timesteps)
        if self._frozen is not None:
            target = self._frozen.with_base_prediction_where_dropped(target, noisy_latents, batch)
        with torch.autocast(
            self._compute.device.type,
            dtype=self._compute.dtype,
            enabled=self._compute.dtype != torch.float32,
        ):
            prediction = self._base.predict(
                model, noisy_latents, batch.timesteps, batch.conditioning
            )
        return batch.weights * self._objective.per_sample(prediction, target, batch.timesteps)
