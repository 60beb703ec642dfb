"""The objective of bases that predict noise or velocity on a schedule of discrete timesteps."""

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.latents import LatentsShape
from styledag.bases.parts import model_errors
from styledag.errors import ModelError
from styledag.models.config import read_config

if TYPE_CHECKING:
    from diffusers import DDPMScheduler
    from torch import Tensor


def training_schedule(folder: Path) -> "DDPMScheduler":
    """Return the noise schedule that a base was trained with, whichever sampler it names.

    Raises:
        ModelError: If it is missing or damaged.
    """
    from diffusers import DDPMScheduler

    config = schedule_config(folder)
    with model_errors(folder):
        known = {name for name in DDPMScheduler().config if not name.startswith("_")}
        return DDPMScheduler(**{name: config[name] for name in known if name in config})


def schedule_config(folder: Path) -> Mapping[str, Any]:
    """Return the configuration of a base's scheduler, with what its class has where none is stated.

    Samplers of other classes are made from it, whose defaults are others.

    Raises:
        ModelError: If it is missing or damaged, or has no schedule of betas, as that of bases that
            were trained by flow matching or on a continuous noise level.
    """
    import diffusers

    config = read_config(folder / "scheduler_config.json")
    name = str(config.get("_class_name"))
    kind = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    usual = {} if kind is None else signature(kind.__init__).parameters
    if "beta_schedule" not in {*usual, *config}:
        raise ModelError(
            f"the scheduler of {folder.parent} is a {name}, which has no schedule of betas: name a "
            "base that was trained to predict noise or v on one"
        )
    if config.get("timestep_type") == "continuous":
        raise ModelError(
            f"the scheduler of {folder.parent} has continuous timesteps, which are levels of noise "
            "beyond any schedule of betas: name a base that was trained on one"
        )
    defaults = {key: each.default for key, each in usual.items() if each.default is not each.empty}
    return {**defaults, **config}


class DiffusionObjective:
    """Noise or velocity, whichever a base's own schedule states.

    Args:
        noise_scheduler: The base's schedule.
        min_snr_gamma: Weights errors by min(SNR, gamma) over SNR (Hang et al. 2023, "Efficient
            Diffusion Training via Min-SNR Weighting Strategy"); ``None`` weights all alike.

    Attributes:
        prediction_type: ``epsilon`` or ``v_prediction``.
        count: Number of timesteps.

    Raises:
        ModelError: If the base predicts something else than noise or velocity, predicts noise at a
            timestep where the input is nothing but noise, or contradicts itself.
    """

    def __init__(
        self, noise_scheduler: "DDPMScheduler", *, min_snr_gamma: float | None = None
    ) -> None:
        import torch

        self.prediction_type: str = noise_scheduler.config.prediction_type
        self.count: int = noise_scheduler.config.num_train_timesteps
        self._noise_scheduler = noise_scheduler
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise ModelError(
                f"the base's scheduler states prediction_type {self.prediction_type!r}: "
                "only 'epsilon' and 'v_prediction' can be trained"
            )
        alphas_cumprod = noise_scheduler.alphas_cumprod.to(torch.float32)
        if len(alphas_cumprod) != self.count:
            raise ModelError(
                f"the base's scheduler states num_train_timesteps {self.count}, but trained_betas "
                f"of {len(alphas_cumprod)}: restore it, or name another base"
            )
        if self.prediction_type == "epsilon" and float(alphas_cumprod.min()) <= 0:
            raise ModelError(
                "the base's scheduler has zero-terminal SNR with prediction_type 'epsilon', where "
                "nothing of the image is left at the last timestep: use a base with 'v_prediction'"
            )
        self._weights = self._min_snr_weights(alphas_cumprod, min_snr_gamma)

    def timesteps(self, shares: Sequence[float], shape: LatentsShape) -> "Tensor":
        """Return integer timesteps, uniformly distributed; see the protocol."""
        import torch

        del shape
        return torch.tensor([int(share * self.count) for share in shares])

    def noisy(self, latents: "Tensor", noise: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return latents with noise added; see the protocol."""
        noisy: Tensor = self._noise_scheduler.add_noise(latents, noise, timesteps)
        return noisy

    def target(self, latents: "Tensor", noise: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return the noise, or the velocity; BCHW."""
        if self.prediction_type == "epsilon":
            return noise
        velocity: Tensor = self._noise_scheduler.get_velocity(latents, noise, timesteps)
        return velocity

    def per_sample(self, prediction: "Tensor", target: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return each sample's weighted mean squared error in float32: BCHW gives B."""
        errors = (prediction.float() - target.float()).square().mean(dim=(1, 2, 3))
        if self._weights is None:
            return errors
        self._weights = self._weights.to(errors.device)
        return errors * self._weights[timesteps]

    def _min_snr_weights(self, alphas_cumprod: "Tensor", gamma: float | None) -> "Tensor | None":
        if gamma is None:
            return None
        snr = alphas_cumprod / (1 - alphas_cumprod)
        divisor = snr if self.prediction_type == "epsilon" else snr + 1
        return snr.clamp(max=gamma) / divisor
