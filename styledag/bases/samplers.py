"""diffusers' samplers behind one interface."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from styledag.errors import StyleFileError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


_MOST_LEFT_OUT = 0.15
"""Share of the timesteps that may be left out before the first one."""


class DiffusersSchedule:
    """One of diffusers' schedulers, with its number of steps set.

    Args:
        scheduler: The scheduler.
        num_inference_steps: Denoising steps.
        adds_noise: Whether its steps draw noise.
        variance_grows: Whether latents are ``x + sigma * noise``, whose variance grows with sigma,
            and not of variance 1 at each step.
        **timing: What else the scheduler's ``set_timesteps`` reads.
    """

    def __init__(
        self,
        scheduler: Any,
        num_inference_steps: int,
        *,
        adds_noise: bool = False,
        variance_grows: bool = False,
        **timing: Any,
    ) -> None:
        # On the CPU: the schedule's own arithmetic is the same whatever computes the denoiser.
        scheduler.set_timesteps(num_inference_steps, **timing)
        self._scheduler = scheduler
        self._adds_noise = adds_noise
        self._variance_grows = variance_grows

    @property
    def timesteps(self) -> "Tensor":
        """Timesteps of all denoising steps, in order."""
        timesteps: Tensor = self._scheduler.timesteps
        return timesteps

    def start(self, noise: "Tensor") -> "Tensor":
        """Return the latents that denoising starts from."""
        # Schedulers of flow matching have neither this nor the input's scale.
        latents: Tensor = noise * getattr(self._scheduler, "init_noise_sigma", 1.0)
        return latents

    def denoiser_input(self, latents: "Tensor", timestep: "Tensor") -> "Tensor":
        """Return the latents as the denoiser reads them at a timestep."""
        if not hasattr(self._scheduler, "scale_model_input"):
            return latents
        scaled: Tensor = self._scheduler.scale_model_input(latents, timestep)
        return scaled

    def step(
        self,
        prediction: "Tensor",
        timestep: "Tensor",
        latents: "Tensor",
        generators: "Sequence[torch.Generator]",
    ) -> "Tensor":
        """Return the latents after a denoising step."""
        drawn = {"generator": list(generators)} if self._adds_noise else {}
        stepped: Tensor = self._scheduler.step(prediction, timestep, latents, **drawn).prev_sample
        return stepped

    def decodable(self, latents: "Tensor") -> "Tensor":
        """Return the latents after the latest step in the scale that the decoder knows."""
        if not self._variance_grows:
            return latents
        sigma = float(self._scheduler.sigmas[self._scheduler.step_index])
        scaled: Tensor = latents / (sigma**2 + 1) ** 0.5
        return scaled


def diffusion_sampler(
    name: str, config: Mapping[str, Any], num_inference_steps: int
) -> DiffusersSchedule:
    """Return a sampler for a base that was trained to predict noise or velocity.

    Args:
        name: ``ddim`` (Song et al. 2021, eta 0), ``dpm++`` (DPM-Solver++ 2M, Lu et al. 2022),
            ``euler`` (Karras et al. 2022, algorithm 2 without churn) or ``euler_a`` (ancestral
            Euler, k-diffusion).
        config: The base's scheduler configuration: its betas and what the denoiser predicts.
        num_inference_steps: Denoising steps.

    Raises:
        StyleFileError: If there is no such sampler.
    """
    _check_name(name, _DIFFUSION)
    plain = {key: value for key, value in config.items() if not key.startswith("_")}
    schedule = _DIFFUSION[name](plain, num_inference_steps)
    _check_beginning(schedule, name, plain, num_inference_steps)
    return schedule


def _check_beginning(
    schedule: DiffusersSchedule, name: str, config: Mapping[str, Any], steps: int
) -> None:
    """Check that denoising begins near the last timestep, which alone is nothing but noise.

    diffusers spaces ``leading`` timesteps by whole numbers, so that of many steps the first ones
    are missing: 600 of 1000 begin at timestep 600, DPM-Solver++ spaces 1000 by 0, and a single one
    is the last, without noise. With
    ``steps_offset`` 1, as in Stable Diffusion, 1000 steps begin behind the last one.
    """
    count = int(config.get("num_train_timesteps", 1000))
    first = float(schedule.timesteps[0])
    left_out = count - 1 - first
    if left_out <= -0.5 or left_out > max(1.5 * count / (steps + 1), _MOST_LEFT_OUT * count):
        remedy = "take fewer, such as 50"
        if steps == 1:
            remedy = (
                "take more, or, of a base that was distilled for it, state timestep_spacing "
                "trailing in its scheduler_config.json (of a single file, in that of config)"
            )
        raise StyleFileError(
            f"{name} in {steps} steps would begin at timestep {first:.0f} of {count}, as the base "
            f"spaces them, and not at {count - 1}, which is noise alone: {remedy}"
        )


def flow_sampler(
    name: str, config: Mapping[str, Any], num_inference_steps: int, **timing: Any
) -> DiffusersSchedule:
    """Return a sampler for a base that was trained by flow matching.

    Args:
        name: ``euler``.
        config: The base's scheduler configuration.
        num_inference_steps: Denoising steps.
        **timing: The shift ``mu`` for the images' size and the unshifted ``sigmas``, as the
            family's pipeline states them; the scheduler's own when left out.

    Raises:
        StyleFileError: If there is no such sampler.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler

    _check_name(name, ("euler",))
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(config)
    adds_noise = bool(scheduler.config.stochastic_sampling)
    return DiffusersSchedule(scheduler, num_inference_steps, adds_noise=adds_noise, **timing)


def _check_name(name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise StyleFileError(
            f"the base has no sampler {name!r}: set samples.scheduler to one of {', '.join(known)}"
        )


def _ddim(config: dict[str, Any], steps: int) -> DiffusersSchedule:
    from diffusers import DDIMScheduler

    # Latents are not bounded by 1 as pixels are, though DDIM's defaults suppose so.
    scheduler = DDIMScheduler.from_config(config, clip_sample=False, thresholding=False)
    return DiffusersSchedule(scheduler, steps)


def _dpm(config: dict[str, Any], steps: int) -> DiffusersSchedule:
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler.from_config(
        config, algorithm_type="dpmsolver++", solver_order=2, thresholding=False
    )
    return DiffusersSchedule(scheduler, steps)


def _euler(config: dict[str, Any], steps: int) -> DiffusersSchedule:
    from diffusers import EulerDiscreteScheduler

    return DiffusersSchedule(EulerDiscreteScheduler.from_config(config), steps, variance_grows=True)


def _euler_ancestral(config: dict[str, Any], steps: int) -> DiffusersSchedule:
    from diffusers import EulerAncestralDiscreteScheduler

    scheduler = EulerAncestralDiscreteScheduler.from_config(config)
    return DiffusersSchedule(scheduler, steps, adds_noise=True, variance_grows=True)


_DIFFUSION: Mapping[str, Callable[[dict[str, Any], int], DiffusersSchedule]] = {
    "ddim": _ddim,
    "dpm++": _dpm,
    "euler": _euler,
    "euler_a": _euler_ancestral,
}
