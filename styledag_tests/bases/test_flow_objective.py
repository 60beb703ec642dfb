"""Flow matching against diffusers' scheduler, its training helpers and its pipelines."""

import math
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift
from diffusers.training_utils import (
    compute_density_for_timestep_sampling,
    compute_loss_weighting_for_sd3,
)

from styledag.bases.flow_objective import FlowObjective, FlowSettings, dynamic_shift
from styledag.errors import ModelError

NAMED = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
OWN = (16, 128, 128)
SHARES = [(at + 0.5) / 1000 for at in range(1000)]


def objective(schedule: dict[str, Any] | None = None, **settings: Any) -> FlowObjective:
    config = FlowMatchEulerDiscreteScheduler(**schedule or {}).config
    return FlowObjective(
        {**config, **NAMED}, FlowSettings(**settings), own=OWN, patch=2, min_snr_gamma=None
    )


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.5, 0.7)])
def test_logit_normal_timesteps_are_distributed_as_diffusers_draws_them(
    mean: float, std: float
) -> None:
    ours = objective(mean=mean, std=std).timesteps(SHARES, OWN) / 1000
    theirs = compute_density_for_timestep_sampling(
        "logit_normal", 200_000, mean, std, generator=torch.Generator().manual_seed(0)
    )
    quantiles = torch.linspace(0.05, 0.95, 19)
    torch.testing.assert_close(
        ours.quantile(quantiles), theirs.quantile(quantiles), atol=0.006, rtol=0
    )
    assert (ours.diff() > 0).all()


def test_uniform_timesteps_are_shifted_as_the_scheduler_shifts() -> None:
    schedule = {"shift": 3.0}
    ours = objective(schedule, timesteps="uniform").timesteps(
        [at / 1000 for at in range(1, 1001)], OWN
    )
    theirs = FlowMatchEulerDiscreteScheduler(**schedule).timesteps.flip(0)
    torch.testing.assert_close(ours, theirs)
    assert ours[-1] == 1000


def test_larger_images_are_shifted_by_the_root_of_their_size() -> None:
    (at_own,) = objective({"shift": 3.0}, timesteps="uniform").timesteps([0.5], OWN)
    (at_large,) = objective({"shift": 3.0}, timesteps="uniform").timesteps([0.5], (16, 256, 256))
    (named,) = objective({"shift": 3.0}, timesteps="uniform", shift=6.0).timesteps([0.5], OWN)
    assert at_own == pytest.approx(750)
    assert at_large == named == pytest.approx(1000 * 6 / 7)


@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_a_dynamic_shift_is_that_of_the_pipeline(kind: str) -> None:
    config = {"use_dynamic_shifting": True, "time_shift_type": kind}
    shape = (16, 96, 64)
    tokens = 48 * 32
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    shift = dynamic_shift(scheduler.config, tokens)
    assert shift == pytest.approx(calculate_shift(tokens, max_shift=1.15))
    scheduler.set_timesteps(sigmas=[0.75, 0.5, 0.25], mu=shift)
    ours = objective(config, timesteps="uniform").timesteps([0.25, 0.5, 0.75], shape)
    torch.testing.assert_close(ours.flip(0), scheduler.timesteps)
    assert dynamic_shift({"shift": 3.0}, tokens) is None


def test_noise_is_added_as_the_scheduler_adds_it() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler()
    latents, noise = torch.randn(2, 3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    timesteps = scheduler.timesteps[[3, 500, 998]]
    noisy = objective().noisy(latents, noise, timesteps)
    torch.testing.assert_close(noisy, scheduler.scale_noise(latents, timesteps, noise))
    velocity = objective().target(latents, noise, timesteps)
    # One step of the sampler along the velocity ends in the image.
    times = (timesteps / 1000)[:, None, None, None]
    torch.testing.assert_close(noisy - times * velocity, latents, atol=1e-5, rtol=1e-4)


def test_errors_are_weighted_as_diffusers_weights_them() -> None:
    prediction, target = torch.randn(2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    timesteps = torch.tensor([0.0, 100.0, 500.0, 1000.0])
    plain = (prediction - target).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(objective().per_sample(prediction, target, timesteps), plain)
    weights = compute_loss_weighting_for_sd3("cosmap", timesteps / 1000)
    weighted = objective(weighting="cosmap").per_sample(prediction, target, timesteps)
    torch.testing.assert_close(weighted, plain * weights)
    # The weight's mean over all times is 1.
    times = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    mean = (2 / (math.pi * (1 - 2 * times + 2 * times**2))).mean()
    assert float(mean) == pytest.approx(1, abs=1e-4)


def test_what_is_not_flow_matching_is_refused() -> None:
    with pytest.raises(ModelError, match="is a DDIMScheduler"):
        FlowObjective({"_class_name": "DDIMScheduler"}, None, own=OWN, patch=2, min_snr_gamma=None)
    with pytest.raises(ModelError, match="min_snr_gamma is not for"):
        FlowObjective(NAMED, None, own=OWN, patch=2, min_snr_gamma=5.0)
    for bad in ({"std": 0.0}, {"shift": -1.0}):
        with pytest.raises(ValueError, match="must be above 0"):
            FlowSettings(**bad)
