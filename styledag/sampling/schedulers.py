"""diffusers' samplers on a base's own noise schedule."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
)

_LATENT = {"clip_sample": False, "thresholding": False}
"""Latents are not bounded by 1 as pixels are, though DDIM's defaults suppose so."""


def sampling_scheduler(name: str, config: Mapping[str, Any], num_inference_steps: int) -> Any:
    """Return a sampler that is ready for its first step.

    Args:
        name: ``ddim`` (Song et al. 2021, eta 0), ``dpm++`` (DPM-Solver++ 2M, Lu et al. 2022) or
            ``euler_a`` (ancestral Euler, Karras et al. 2022 and k-diffusion).
        config: The base's scheduler configuration: its betas and what the UNet predicts.
        num_inference_steps: Denoising steps.
    """
    scheduler: Any
    if name == "ddim":
        scheduler = DDIMScheduler.from_config(dict(config), **_LATENT)
    elif name == "dpm++":
        scheduler = DPMSolverMultistepScheduler.from_config(
            dict(config), algorithm_type="dpmsolver++", solver_order=2, thresholding=False
        )
    elif name == "euler_a":
        scheduler = EulerAncestralDiscreteScheduler.from_config(dict(config))
    else:
        raise ValueError(f"no sampler is called {name!r}")
    # On the CPU: the schedule's own arithmetic is then the same whatever computes the UNet.
    scheduler.set_timesteps(num_inference_steps)
    return scheduler


def unit_variance(scheduler: Any, latents: torch.Tensor) -> torch.Tensor:
    """Return latents in the scale that the decoder knows, in the midst of denoising.

    Ancestral Euler works on ``x + sigma * noise``, whose variance grows with sigma; the others
    keep it at 1.
    """
    if not isinstance(scheduler, EulerAncestralDiscreteScheduler):
        return latents
    sigma = float(scheduler.sigmas[scheduler.step_index])
    scaled: torch.Tensor = latents / (sigma**2 + 1) ** 0.5
    return scaled
