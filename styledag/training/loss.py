"""What the UNet is asked to predict, and how its errors are weighed."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from styledag.errors import ModelError

if TYPE_CHECKING:
    from diffusers import DDPMScheduler


class DiffusionLoss:
    """The loss of a base's own noise schedule and prediction type.

    Args:
        noise_scheduler: The base's schedule.
        min_snr_gamma: Weighs errors by min(SNR, gamma) over SNR (Hang et al. 2023, "Efficient
            Diffusion Training via Min-SNR Weighting Strategy"); ``None`` weighs all alike.

    Raises:
        ModelError: If the base predicts something else than noise or velocity, or predicts noise
            at a timestep where nothing but noise is left to see.
    """

    def __init__(
        self, noise_scheduler: "DDPMScheduler", *, min_snr_gamma: float | None = None
    ) -> None:
        self.prediction_type: str = noise_scheduler.config.prediction_type
        self.timesteps: int = noise_scheduler.config.num_train_timesteps
        self._noise_scheduler = noise_scheduler
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise ModelError(
                f"the base's scheduler states prediction_type {self.prediction_type!r}: "
                "only 'epsilon' and 'v_prediction' can be trained"
            )
        alphas_cumprod = noise_scheduler.alphas_cumprod.to(torch.float32)
        if self.prediction_type == "epsilon" and float(alphas_cumprod.min()) <= 0:
            raise ModelError(
                "the base's scheduler has zero-terminal SNR with prediction_type 'epsilon', where "
                "the last timestep tells nothing of the image: take a base with 'v_prediction'"
            )
        self._weights = self._min_snr_weights(alphas_cumprod, min_snr_gamma)

    def noisy(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return latents with noise added, of the same shape.

        Args:
            latents: Scaled latents. # BCHW
            noise: Standard normal. # BCHW
            timesteps: Integers. # B
        """
        noisy: Tensor = self._noise_scheduler.add_noise(latents, noise, timesteps)
        return noisy

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what the UNet ought to say: the noise, or the velocity; BCHW."""
        if self.prediction_type == "epsilon":
            return noise
        velocity: Tensor = self._noise_scheduler.get_velocity(latents, noise, timesteps)
        return velocity

    def per_sample(self, prediction: Tensor, target: Tensor, timesteps: Tensor) -> Tensor:
        """Return each sample's weighted mean squared error in float32: BCHW gives B."""
        errors = (prediction.float() - target.float()).square().mean(dim=(1, 2, 3))
        if self._weights is None:
            return errors
        self._weights = self._weights.to(errors.device)
        return errors * self._weights[timesteps]

    def _min_snr_weights(self, alphas_cumprod: Tensor, gamma: float | None) -> Tensor | None:
        if gamma is None:
            return None
        snr = alphas_cumprod / (1 - alphas_cumprod)
        divisor = snr if self.prediction_type == "epsilon" else snr + 1
        return snr.clamp(max=gamma) / divisor
