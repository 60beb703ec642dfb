import pytest
import torch

from styledag.bases.samplers import diffusion_sampler, flow_sampler
from styledag.errors import StyleFileError

SD15 = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


@pytest.mark.parametrize("name", ["ddim", "dpm++", "euler", "euler_a"])
@pytest.mark.parametrize("steps", [2, 3, 4, 10, 25, 50, 100, 150, 300])
def test_usual_numbers_of_steps_begin_with_noise(name: str, steps: int) -> None:
    assert len(diffusion_sampler(name, SD15, steps).timesteps) == steps


@pytest.mark.parametrize(
    ("name", "steps"),
    [("ddim", 600), ("ddim", 1000), ("euler", 400), ("dpm++", 1000), ("ddim", 1), ("euler_a", 1)],
)
def test_steps_that_would_begin_in_the_middle_are_refused(name: str, steps: int) -> None:
    with pytest.raises(StyleFileError, match=rf"{steps} steps would begin at timestep \d+ of 1000"):
        diffusion_sampler(name, SD15, steps)
    trailing = {**SD15, "timestep_spacing": "trailing"}
    assert float(diffusion_sampler(name, trailing, steps).timesteps[0]) == 999


def test_noise_that_a_flow_sampler_adds_follows_from_the_seeds() -> None:
    """As of few-step models whose scheduler states stochastic_sampling."""
    latents = torch.ones(2, 1, 2, 2)

    def drawn(seeds: tuple[int, int]) -> torch.Tensor:
        schedule = flow_sampler("euler", {"stochastic_sampling": True, "shift": 1.0}, 4)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return schedule.step(latents, schedule.timesteps[0], latents, generators)

    first = drawn((0, 1))
    assert torch.equal(first, drawn((0, 1)))
    assert torch.equal(first[0], drawn((0, 2))[0])
    assert not torch.equal(first[1], drawn((0, 2))[1])
