"""The base as it was, beside the denoiser in training: the target where captions are dropped.

Classifier-free guidance leads away from the prediction for the empty caption. A fine-tune changes
that prediction too, whether captions are dropped or not, and then guidance no longer leads towards
what was learned, but back to what the base draws (Phunyaphibarn et al. 2025, "Unconditional Priors
Matter! Improving Conditional Generation of Fine-Tuned Diffusion Models", who use the base's
prediction while sampling). Here training keeps the prediction where the base had it, so that the
fine-tune stays one model that any pipeline loads.
"""

import torch
from torch import Tensor

from styledag.bases.base import Base
from styledag.models.compute import Compute
from styledag.training.batches import Batch


class FrozenBase:
    """A base's denoiser that nothing changes.

    Attributes:
        denoiser: It, on the device.

    Raises:
        ModelError: If the denoiser cannot be loaded.
    """

    def __init__(self, base: Base, compute: Compute) -> None:
        self._base = base
        self.denoiser = base.denoiser(device=compute.device, dtype=compute.dtype)
        if compute.channels_last:
            self.denoiser.to(memory_format=torch.channels_last)
        self.denoiser.requires_grad_(False)
        self._dtype = compute.dtype

    @torch.no_grad()
    def with_base_prediction_where_dropped(
        self, target: Tensor, noisy_latents: Tensor, batch: Batch
    ) -> Tensor:
        """Replace the target by the base's own prediction where the caption was dropped.

        Args:
            target: The objective's target, float32. # BCHW
            noisy_latents: The denoiser's input. # BCHW
            batch: The batch that they are of, on the base's device.
        """
        at = batch.dropped
        if not len(at):
            return target
        predicted = self._base.predict(
            self.denoiser,
            noisy_latents[at].to(self._dtype),
            batch.timesteps[at],
            batch.conditioning.select(at).to(dtype=self._dtype),
        )
        return target.index_copy(0, at, predicted.to(target.dtype))
