"""The objective of flow matching: the velocity along the straight line from images to noise.

Liu et al. 2023, "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified
Flow"; timesteps and weights after Esser et al. 2024, "Scaling Rectified Flow Transformers for
High-Resolution Image Synthesis".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from styledag.bases.latents import LatentsShape
from styledag.errors import ModelError
from styledag.settings import StrictSettings, setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FlowSettings(StrictSettings):
    """How flow matching draws timesteps and weighs errors."""

    timesteps: Literal["logit_normal", "uniform"] = setting(
        "logit_normal",
        help="logit_normal trains mostly in the middle between image and noise, uniform everywhere "
        "alike; before the shift.",
    )
    mean: float = setting(
        0.0, help="logit_normal: above 0 trains more on noise, below 0 more on what is nearly done."
    )
    std: float = setting(1.0, gt=0, help="logit_normal: how far it spreads.")
    shift: float | None = setting(
        None,
        gt=0,
        help="Above 1 shifts timesteps towards noise. When left out, the base's own schedule's, "
        "with more for images larger than the base's.",
    )
    weighting: Literal["none", "cosmap"] = setting(
        "none", help="cosmap weighs errors in the middle more, none all alike."
    )


class FlowObjective:
    """The velocity from images to noise.

    Args:
        schedule: Configuration of the base's ``FlowMatchEulerDiscreteScheduler``.
        settings: How timesteps are drawn and errors weighted; the defaults when ``None``.
        own: Shape of the latents that the schedule's constant shift is for.
        patch: Latents along one side of a token.
        min_snr_gamma: Must be ``None``.

    Raises:
        ModelError: If the schedule is no such one, or the errors are to be weighted by an SNR.
    """

    def __init__(
        self,
        schedule: Mapping[str, Any],
        settings: FlowSettings | None,
        *,
        own: LatentsShape,
        patch: int,
        min_snr_gamma: float | None,
    ) -> None:
        if schedule.get("_class_name") != "FlowMatchEulerDiscreteScheduler":
            raise ModelError(
                f"the base's scheduler is a {schedule.get('_class_name')}, which is not one of "
                "flow matching: name a base with FlowMatchEulerDiscreteScheduler"
            )
        if min_snr_gamma is not None:
            raise ModelError(
                "the base is trained by flow matching, which min_snr_gamma is not for: remove it, "
                "or set flow.weighting"
            )
        self.count: int = int(schedule.get("num_train_timesteps", 1000))
        self._schedule = schedule
        self._settings = settings or FlowSettings()
        self._own = own
        self._patch = patch

    def timesteps(self, shares: Sequence[float], shape: LatentsShape) -> "Tensor":
        """Return timesteps between 0 and the schedule's count, float32; see the protocol."""
        import torch

        times = torch.tensor(shares, dtype=torch.float64)
        if self._settings.timesteps == "logit_normal":
            normal = torch.special.ndtri(times)  # the normal distribution's quantiles
            times = torch.sigmoid(self._settings.mean + self._settings.std * normal)
        shift = self._shift(shape)
        return (self.count * shift * times / (1 + (shift - 1) * times)).float()

    def noisy(self, latents: "Tensor", noise: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return latents on the line to the noise; see the protocol."""
        times = (timesteps / self.count)[:, None, None, None]
        return (1 - times) * latents + times * noise

    def target(self, latents: "Tensor", noise: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return the velocity, which is the same at all timesteps; BCHW."""
        del timesteps
        return noise - latents

    def per_sample(self, prediction: "Tensor", target: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return each sample's weighted mean squared error in float32: BCHW gives B."""
        errors = (prediction.float() - target.float()).square().mean(dim=(1, 2, 3))
        if self._settings.weighting == "none":
            return errors
        times = timesteps / self.count
        return errors * 2 / (math.pi * (1 - 2 * times + 2 * times.square()))

    def _shift(self, shape: LatentsShape) -> float:
        if self._settings.shift is not None:
            return self._settings.shift
        tokens = math.prod(shape[1:]) / self._patch**2
        shift = dynamic_shift(self._schedule, tokens)
        if shift is None:
            # Equation 23 of Esser et al., from the size that the constant is for to this one.
            constant = float(self._schedule.get("shift", 1.0))
            return constant * math.sqrt(math.prod(shape[1:]) / math.prod(self._own[1:]))
        is_exponential = self._schedule.get("time_shift_type", "exponential") == "exponential"
        return math.exp(shift) if is_exponential else shift


def dynamic_shift(schedule: Mapping[str, Any], tokens: float) -> float | None:
    """Return the shift of a schedule for images of a size, as diffusers' pipelines state ``mu``.

    ``None`` if the schedule shifts images of all sizes alike.

    Args:
        schedule: The configuration.
        tokens: Tokens of an image.
    """
    if not schedule.get("use_dynamic_shifting"):
        return None
    fewest, most = schedule.get("base_image_seq_len", 256), schedule.get("max_image_seq_len", 4096)
    least, greatest = schedule.get("base_shift", 0.5), schedule.get("max_shift", 1.15)
    return float(least + (tokens - fewest) * (greatest - least) / (most - fewest))
