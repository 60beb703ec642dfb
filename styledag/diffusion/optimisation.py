"""The weights in training: one optimiser step, the average after it, and what to resume from."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from styledag.diffusion.base import load_unet
from styledag.diffusion.batches import Batch
from styledag.diffusion.ema import Ema
from styledag.diffusion.loss import DiffusionLoss
from styledag.diffusion.recipe import Recipe
from styledag.diffusion.trainable import select_trainable
from styledag.errors import TrainingError
from styledag.models.compute import Compute

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Optimisation:
    """A base's UNet with AdamW and the moving average.

    Weights, gradients, moments and averages are float32; only the passes run in the number
    format of ``compute``.

    Args:
        base: Folder in diffusers' layout.
        recipe: What is trained and how.
        loss: The base's own loss.
        compute: Device and number format.
        total_steps: Optimiser steps of the whole run.

    Attributes:
        unet: The UNet, whose trained weights change.
        ema: Their averages.

    Raises:
        TrainingError: If the number format or the trained part cannot be had.
        ModelError: If the UNet cannot be loaded.
    """

    def __init__(
        self,
        base: Path,
        recipe: Recipe,
        loss: DiffusionLoss,
        *,
        compute: Compute,
        total_steps: int,
    ) -> None:
        if compute.dtype == torch.float16:
            raise TrainingError(
                "gradients in float16 vanish without a loss scale: set dtype to bfloat16, "
                "or to float32 where the device has no bfloat16"
            )
        self._recipe = recipe
        self._loss = loss
        self._compute = compute
        # In evaluation mode, since dropout layers would draw from the global random state.
        self.unet: UNet2DConditionModel = load_unet(base, device=compute.device)
        self.trained = select_trainable(self.unet, recipe.trained)
        self.ema = Ema(self.trained, recipe.ema, total_steps=total_steps)
        self._optimizer = torch.optim.AdamW(
            self.trained.values(),
            lr=recipe.learning_rate,
            betas=(recipe.adam_beta1, recipe.adam_beta2),
            eps=recipe.adam_epsilon,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        if compute.compile:
            self.unet.compile_repeated_blocks()

    def step(
        self, batches: Iterable[Batch], samples: int, *, learning_rate: float
    ) -> tuple[float, float]:
        """Take one optimiser step and return its mean loss and the gradient's norm.

        Weights stay as they were if one of the two is not finite.

        Args:
            batches: One for each microstep.
            samples: Samples in all of them, over which the loss is the mean.
            learning_rate: AdamW's for this step.
        """
        total = torch.zeros((), device=self._compute.device)
        for batch in batches:
            loss = self._losses(batch).sum() / samples
            torch.autograd.backward(loss)
            total += loss.detach()
        grad_norm = torch.nn.utils.clip_grad_norm_(
            self.trained.values(), self._recipe.max_grad_norm
        )
        mean_loss, norm = float(total), float(grad_norm)
        if torch.isfinite(total) and torch.isfinite(grad_norm):
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate
            self._optimizer.step()
            self.ema.update()
        self._optimizer.zero_grad(set_to_none=True)
        return mean_loss, norm

    @torch.no_grad()
    def averaged_loss(self, batches: Iterable[Batch]) -> float | None:
        """Return the mean loss of the averaged weights; ``None`` without a sample."""
        total, samples = 0.0, 0
        with self.ema.in_place():
            for batch in batches:
                total += float(self._losses(batch).sum())
                samples += len(batch)
        return total / samples if samples else None

    def tensors(self) -> dict[str, Tensor]:
        """Return all that :meth:`restore` needs, without a copy."""
        tensors = {f"weights/{name}": each.detach() for name, each in self.trained.items()}
        if self._recipe.ema.mode != "none":
            tensors |= {f"averages/{name}": each for name, each in self.ema.averages.items()}
        if self.ema.second is not None:
            tensors |= {f"second/{name}": each for name, each in self.ema.second.items()}
        for name, parameter in self.trained.items():
            moments = self._optimizer.state[parameter]
            tensors |= {f"{moment}/{name}": moments[moment] for moment in _MOMENTS}
        return tensors

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], *, step: int) -> None:
        """Become what :meth:`tensors` was taken from.

        Args:
            tensors: As they were.
            step: Optimiser steps that had been taken; above 0.
        """
        for name, parameter in self.trained.items():
            parameter.copy_(tensors[f"weights/{name}"])
            if self._recipe.ema.mode != "none":
                self.ema.averages[name].copy_(tensors[f"averages/{name}"])
            if self.ema.second is not None:
                self.ema.second[name].copy_(tensors[f"second/{name}"])
        self.ema.step = step
        state: dict[int, dict[str, Tensor]] = {
            at: {"step": torch.tensor(float(step))}
            | {moment: tensors[f"{moment}/{name}"].clone() for moment in _MOMENTS}
            for at, name in enumerate(self.trained)
        }
        groups: Sequence[Any] = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _losses(self, batch: Batch) -> Tensor:
        batch = batch.to(self._compute.device)
        noisy_latents = self._loss.noisy(batch.latents, batch.noise, batch.timesteps)
        target = self._loss.target(batch.latents, batch.noise, batch.timesteps)
        with torch.autocast(
            self._compute.device.type,
            dtype=self._compute.dtype,
            enabled=self._compute.dtype != torch.float32,
        ):
            prediction = self.unet(
                noisy_latents, batch.timesteps, batch.encoder_hidden_states, return_dict=False
            )[0]
        return batch.weights * self._loss.per_sample(prediction, target, batch.timesteps)
