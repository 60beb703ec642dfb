import json
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, LCMScheduler
from diffusers.training_utils import compute_snr

from styledag.bases.diffusion_objective import DiffusionObjective, training_schedule
from styledag.errors import ModelError

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TIMESTEPS = torch.tensor([0, 1, 10, 100, 500, 999])


def scheduler(**config: object) -> DDPMScheduler:
    return DDPMScheduler(**SCHEDULE, **config)


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (len(TIMESTEPS), 4, 8, 8)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def test_noise_is_the_target_and_its_error_the_loss() -> None:
    latents, noise = tensors()
    objective = DiffusionObjective(scheduler())
    assert torch.equal(objective.target(latents, noise, TIMESTEPS), noise)
    errors = objective.per_sample(noise + 0.5, noise, TIMESTEPS)
    torch.testing.assert_close(errors, torch.full((len(TIMESTEPS),), 0.25))


def test_noisy_latents_and_velocity_follow_the_definition() -> None:
    latents, noise = tensors()
    noise_scheduler = scheduler(prediction_type="v_prediction")
    objective = DiffusionObjective(noise_scheduler)
    alpha = noise_scheduler.alphas_cumprod[TIMESTEPS].sqrt()[:, None, None, None]
    sigma = (1 - noise_scheduler.alphas_cumprod[TIMESTEPS]).sqrt()[:, None, None, None]
    torch.testing.assert_close(
        objective.noisy(latents, noise, TIMESTEPS), alpha * latents + sigma * noise
    )
    torch.testing.assert_close(
        objective.target(latents, noise, TIMESTEPS), alpha * noise - sigma * latents
    )


def write_schedule(folder: Path, **config: object) -> Path:
    folder.mkdir()
    (folder / "scheduler_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "config",
    [
        {"_class_name": "EDMEulerScheduler", "sigma_data": 1.0, "prediction_type": "v_prediction"},
        {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0},
        {"_class_name": "TheirOwnScheduler", "num_train_timesteps": 1000},
        {"num_train_timesteps": 1000},
    ],
    ids=["continuous", "flow", "unknown", "none"],
)
def test_what_has_no_schedule_of_betas_is_refused(
    tmp_path: Path, config: dict[str, object]
) -> None:
    """diffusers would make one of its own defaults, on which the base was never trained."""
    with pytest.raises(ModelError, match="which has no schedule of betas"):
        training_schedule(write_schedule(tmp_path / "scheduler", **config))


def test_continuous_timesteps_are_refused_though_the_class_has_betas(tmp_path: Path) -> None:
    folder = write_schedule(
        tmp_path / "scheduler", _class_name="EulerDiscreteScheduler", timestep_type="continuous"
    )
    with pytest.raises(ModelError, match="has continuous timesteps"):
        training_schedule(folder)


def test_what_is_not_stated_is_as_in_the_class_that_is_named(tmp_path: Path) -> None:
    """LCM's betas are scaled linearly where none are stated, DDPM's are not."""
    folder = write_schedule(tmp_path / "scheduler", _class_name="LCMScheduler")
    expected = LCMScheduler().alphas_cumprod
    assert torch.equal(training_schedule(folder).alphas_cumprod, expected)
    custom = write_schedule(tmp_path / "custom", _class_name="TheirOwnScheduler", **SCHEDULE)
    assert torch.equal(training_schedule(custom).alphas_cumprod, scheduler().alphas_cumprod)


def test_trained_betas_of_another_number_are_refused() -> None:
    with pytest.raises(ModelError, match="num_train_timesteps 1000, but trained_betas of 3"):
        DiffusionObjective(scheduler(trained_betas=[0.1, 0.2, 0.3]))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_min_snr_weighs_as_diffusers_training_script(prediction_type: str) -> None:
    noise_scheduler = scheduler(prediction_type=prediction_type)
    objective = DiffusionObjective(noise_scheduler, min_snr_gamma=5.0)
    snr = compute_snr(noise_scheduler, TIMESTEPS)
    divisor = snr if prediction_type == "epsilon" else snr + 1
    expected = torch.stack([snr, torch.full_like(snr, 5.0)], dim=1).min(dim=1)[0] / divisor
    ones = torch.ones(len(TIMESTEPS), 4, 8, 8)
    torch.testing.assert_close(
        objective.per_sample(ones, torch.zeros_like(ones), TIMESTEPS),
        expected,
        rtol=1e-4,
        atol=1e-6,
    )


def test_zero_terminal_snr_needs_velocity() -> None:
    with pytest.raises(ModelError, match="v_prediction"):
        DiffusionObjective(scheduler(rescale_betas_zero_snr=True))
    velocity = scheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    objective = DiffusionObjective(velocity, min_snr_gamma=5.0)
    latents, noise = tensors()
    target = objective.target(latents, noise, TIMESTEPS)
    assert torch.isfinite(objective.per_sample(noise, target, TIMESTEPS)).all()


def test_zero_terminal_snr_weighs_and_targets_as_diffusers() -> None:
    noise_scheduler = scheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    objective = DiffusionObjective(noise_scheduler, min_snr_gamma=5.0)
    latents, noise = tensors()
    last = torch.tensor([999])
    # At the end nothing but noise is seen, and the velocity is the image itself.
    assert torch.equal(objective.noisy(latents[:1], noise[:1], last), noise[:1])
    assert torch.equal(objective.target(latents[:1], noise[:1], last), -latents[:1])
    assert torch.equal(
        objective.target(latents, noise, TIMESTEPS),
        noise_scheduler.get_velocity(latents, noise, TIMESTEPS),
    )
    snr = compute_snr(noise_scheduler, TIMESTEPS)
    assert snr[-1] == 0
    expected = snr.clamp(max=5.0) / (snr + 1)
    ones = torch.ones(len(TIMESTEPS), 4, 8, 8)
    torch.testing.assert_close(
        objective.per_sample(ones, torch.zeros_like(ones), TIMESTEPS),
        expected,
        rtol=1e-3,
        atol=1e-6,
    )


def test_other_prediction_types_are_refused() -> None:
    with pytest.raises(ModelError, match="'sample'"):
        DiffusionObjective(scheduler(prediction_type="sample"))


def test_schedule_of_the_base_is_read_whichever_sampler_it_names(tmp_path) -> None:  # type: ignore[no-untyped-def]
    DDIMScheduler(**SCHEDULE, prediction_type="v_prediction").save_pretrained(
        tmp_path / "scheduler"
    )
    read = training_schedule(tmp_path / "scheduler")
    assert read.config.prediction_type == "v_prediction"
    DDIMScheduler(
        **SCHEDULE, prediction_type="v_prediction", rescale_betas_zero_snr=True
    ).save_pretrained(tmp_path / "zero" / "scheduler")
    assert training_schedule(tmp_path / "zero" / "scheduler").alphas_cumprod[-1] == 0
    torch.testing.assert_close(read.alphas_cumprod, scheduler().alphas_cumprod)


def test_timesteps_are_uniform_over_the_shares() -> None:
    objective = DiffusionObjective(scheduler(num_train_timesteps=10))
    shares = [at / 100 for at in range(100)]
    timesteps = objective.timesteps(shares, (4, 8, 8))
    assert timesteps.dtype == torch.int64
    assert timesteps.tolist() == [at // 10 for at in range(100)]
