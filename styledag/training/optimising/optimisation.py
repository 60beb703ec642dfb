"""The weights in training: one optimiser step, the average after it, and what to resume from."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from styledag.bases.base import Base, Objective
from styledag.bases.compiled import compile_modules
from styledag.models.compute import Compute
from styledag.models.side_by_side import SideBySide
from styledag.training.averaging.ema import Ema
from styledag.training.batches import Batch
from styledag.training.optimising.frozen_base import FrozenBase
from styledag.training.optimising.optimizers import Optimizer, OptimizerSettings
from styledag.training.optimising.readback import Readback
from styledag.training.processes import Processes
from styledag.training.recipe import Recipe
from styledag.training.states.state import tensors_below
from styledag.training.weights.lora import LoraAdapters
from styledag.training.weights.masters import lower
from styledag.training.weights.quantised import quantise
from styledag.training.weights.stored_weights import LazyTensors, Makes, stored_weights
from styledag.training.weights.trainable import Trainable


class Optimisation:
    """A base's denoiser, or adapters of it, with an optimiser and the moving average.

    Passes run in the dtype of ``compute``, and so are the denoiser's weights and their gradients.
    Averages are float32. So are moments, and the weights that steps are taken on, which the
    denoiser has rounded; or those are bfloat16 too, as the recipe says.

    Args:
        base: The base.
        recipe: What is trained and how.
        objective: The base's own objective.
        compute: Device and dtype.
        processes: Those that train together; each sees a part of every microstep.
        total_steps: Optimiser steps of the whole run.

    Attributes:
        unet: The denoiser, whose trained weights change.
        trained: Those weights by name, as the passes have them.
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
        self._names = tuple(self.unet.state_dict())
        if compute.channels_last:
            self.unet.to(memory_format=torch.channels_last)
        chosen = Trainable(base, recipe)
        self.adapters = None if recipe.lora is None else LoraAdapters(self.unet, recipe, chosen)
        if bits is not None:
            quantise(self.unet, base, bits, device=compute.device, dtype=compute.dtype)
            self.unet.to(compute.device)
        self.trained: Mapping[str, nn.Parameter] = (
            chosen.select(self.unet) if self.adapters is None else self.adapters.parameters
        )
        # Processes exchange gradients in the dtype of the passes.
        accumulates = recipe.gradient_accumulation > 1 and processes.size == 1
        self._masters = lower(self.unet, compute.dtype, accumulates=accumulates)
        if recipe.gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        if compute.compile:
            compile_modules(self.unet, base)
        ema_device = torch.device("cpu") if recipe.ema_on_cpu else None
        self.ema = Ema(
            self.trained,
            recipe.ema,
            total_steps=total_steps,
            device=ema_device,
            masters=self._masters,
        )
        self._optimizer = Optimizer(
            self.trained,
            OptimizerSettings.of(recipe),
            rate_shares=chosen.rate_shares(self.trained),
            masters=self._masters,
        )
        self._model = processes.wrapped(self.unet)
        self._frozen = FrozenBase(base, compute) if recipe.dropped_captions == "base" else None
        shared = self.trained.values()
        self._side_by_side = SideBySide(shared) if self._halves_are_independent() else None

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
            is_last = number == microsteps - 1
            alone = nullcontext() if is_last else self._processes.unsynchronised(self._model)
            with alone:
                total += self._passes(next(batches), samples)
        grad_norm = self._optimizer.step(
            learning_rate, step=self.ema.step, max_grad_norm=self._recipe.max_grad_norm
        )
        figures = Readback(torch.stack([self._processes.summed(total), grad_norm]))
        self.ema.update()
        self._optimizer.zero_grad()
        return figures

    def _halves_are_independent(self) -> bool:
        """Return whether two passes at the same time on a CPU share nothing but the weights.

        Their gradients are added to each weight's in either order. A sum of two numbers does not
        depend on it, so the bits are the same each time; one of four would.
        """
        return (
            self._compute.device.type == "cpu"
            and not self._compute.compile
            and self._processes.size == 1
            and self._recipe.gradient_accumulation == 1
            and self._recipe.base_bits is None
        )

    def _passes(self, batch: Batch, samples: int) -> Tensor:
        """Add a microstep's gradients to those of the weights, and return its loss."""

        def passes(batch: Batch) -> Tensor:
            loss = self._losses(self._model, batch).sum() / samples
            # Gradients are averaged over processes, where a sum is wanted.
            torch.autograd.backward(loss * self._processes.size)
            return loss.detach()

        beside = self._side_by_side
        if beside is None or not beside.can_halve(batch):
            return passes(batch)
        first, second = batch.halves()
        losses = beside.both(partial(passes, first), partial(passes, second))
        return losses[0] + losses[1]

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
            return self.adapters.folded(self._stored, averages)
        trained = {name: partial(averages.__getitem__, name) for name in averages}
        return LazyTensors({**self._stored, **trained})

    def held(self) -> list[Tensor]:
        """Return all tensors that stay on the device between two steps."""
        models = [self.unet] if self._frozen is None else [self.unet, self._frozen.denoiser]
        weights = [each for model in models for each in (*model.parameters(), *model.buffers())]
        averages = [*self.ema.averages.values(), *(self.ema.second or {}).values()]
        stepped = [*self._masters.values(), *self._optimizer.tensors().values()]
        tensors = [*weights, *averages, *stepped]
        return [each for each in tensors if each.device.type == self._compute.device.type]

    @cached_property
    def _stored(self) -> Mapping[str, Makes]:
        """What reads each weight as the base has it."""
        return stored_weights(self._base, self._names)

    def tensors(self) -> dict[str, Tensor]:
        """Return all that :meth:`restore` needs, without a copy."""
        stepped = self._masters or self.trained
        tensors = {f"weights/{name}": each.detach() for name, each in stepped.items()}
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
            weights = tensors[f"weights/{name}"]
            parameter.copy_(weights)
            if self._masters:
                self._masters[name].copy_(weights)
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
        dtype = self._compute.dtype
        prediction = self._base.predict(
            model, noisy_latents.to(dtype), batch.timesteps, batch.conditioning.to(dtype=dtype)
        )
        return batch.weights * self._objective.per_sample(prediction, target, batch.timesteps)
