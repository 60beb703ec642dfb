import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    StableDiffusionPipeline,
)

from styledag.errors import DataError, ModelError, StyleFileError
from styledag.models.compute import Compute
from styledag.progress import Advance, SilentProgress
from styledag.randomness import generator_for
from styledag.sampling.provenance import read_provenance
from styledag.sampling.sampler import Sample, Sampler
from styledag.sampling.weights import Weights
from styledag.store.store import Store
from styledag.store.workspace import Workspace

MakeSampler = Callable[..., Sampler]


@pytest.fixture
def advance() -> Advance:
    with SilentProgress().task("samples", None) as silent:
        return silent


def pixels(sample: Sample) -> np.ndarray:
    return np.asarray(sample.image).astype(int)


@pytest.mark.parametrize(
    ("name", "scheduler", "guidance_scale", "guidance_rescale"),
    [
        ("ddim", DDIMScheduler, 7.5, 0.0),
        ("ddim", DDIMScheduler, 7.5, 0.7),
        ("dpm++", DPMSolverMultistepScheduler, 7.5, 0.0),
        ("euler_a", EulerAncestralDiscreteScheduler, 7.5, 0.0),
        ("ddim", DDIMScheduler, 1.0, 0.0),
    ],
)
def test_images_equal_those_of_the_pipeline_one_by_one(
    base: Path,
    make_sampler: MakeSampler,
    workspace: Workspace,
    advance: Advance,
    name: str,
    scheduler: type,
    guidance_scale: float,
    guidance_rescale: float,
) -> None:
    negative = "" if guidance_scale == 1 else "a ball"
    sampler = make_sampler(
        scheduler=name,
        guidance_scale=guidance_scale,
        guidance_rescale=guidance_rescale,
        negative_prompt=negative,
        batch_size=3,
    )
    pipeline = StableDiffusionPipeline.from_pretrained(base, dtype=torch.float32)
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    for sample in sampler.draw(sampler.pairs, workspace, advance):
        expected = pipeline(
            sample.prompt,
            negative_prompt=negative,
            num_inference_steps=3,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
            generator=generator_for("sample", sample.prompt, sample.seed),
        ).images[0]
        difference = np.abs(pixels(sample) - np.asarray(expected).astype(int))
        assert difference.max() <= 1
        assert difference.mean() < 0.05


@pytest.mark.parametrize("scheduler", ["dpm++", "euler_a"])
def test_a_further_prompt_changes_no_other_image(
    make_sampler: MakeSampler,
    workspace: Workspace,
    tmp_path: Path,
    advance: Advance,
    scheduler: str,
) -> None:
    few = make_sampler(scheduler=scheduler, batch_size=1)
    many = make_sampler(
        scheduler=scheduler, prompts=("a blue car", "a red apple", "a small dog"), batch_size=4
    )
    elsewhere = Store(str(tmp_path / "other")).items
    other = Workspace(workspace.folder, workspace.scratch, workspace.blobs, elsewhere)
    before = few.draw(few.pairs, workspace, advance)
    after = {(each.prompt, each.seed): each for each in many.draw(many.pairs, other, advance)}
    for sample in before:
        twin = after[sample.prompt, sample.seed]
        assert np.abs(pixels(sample) - pixels(twin)).max() <= 1


def test_prompts_and_seeds_make_different_images(
    make_sampler: MakeSampler, workspace: Workspace, advance: Advance
) -> None:
    sampler = make_sampler()
    samples = sampler.draw(sampler.pairs, workspace, advance)
    assert len({sample.image.tobytes() for sample in samples}) == 4
    assert all(sample.image.size == (64, 64) for sample in samples)


def test_known_images_are_not_drawn_again_and_load_no_model(
    make_sampler: MakeSampler, workspace: Workspace, advance: Advance
) -> None:
    first = make_sampler()
    drawn = first.draw(first.pairs, workspace, advance)
    assert workspace.work.pop("samples") == 4
    again = make_sampler(batch_size=1)
    again.base = Path("nowhere")
    assert again.draw(again.pairs, workspace, advance) == drawn
    assert not workspace.work
    wider = make_sampler(seeds=(0, 1, 2))
    wider.draw(wider.pairs, workspace, advance)
    assert workspace.work == {"samples": 2}


def test_settings_of_the_image_make_another_image(make_sampler: MakeSampler) -> None:
    plain = make_sampler().image_key(("a", 0))
    for changed in (
        {"scheduler": "ddim"},
        {"num_inference_steps": 4},
        {"guidance_scale": 3.0},
        {"guidance_rescale": 0.7},
        {"negative_prompt": "b"},
    ):
        assert make_sampler(**changed).image_key(("a", 0)) != plain
    assert make_sampler(batch_size=2, prompts=("c",)).image_key(("a", 0)) == plain
    tuned = make_sampler().with_weights(Weights.stored("v", Path("unet")))
    assert tuned.image_key(("a", 0)) != plain


def test_another_unet_draws_another_image(
    base: Path, make_sampler: MakeSampler, workspace: Workspace, tmp_path: Path, advance: Advance
) -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    with torch.no_grad():
        for parameter in unet.conv_out.parameters():
            parameter.mul_(0.5)
    unet.save_pretrained(tmp_path / "unet")
    sampler = make_sampler(prompts=("a red apple",), seeds=(0,))
    (ours,) = sampler.draw(sampler.pairs, workspace, advance)
    tuned = sampler.with_weights(Weights.stored("t" * 64, tmp_path / "unet"))
    (theirs,) = tuned.draw(tuned.pairs, workspace, advance)
    assert np.abs(pixels(ours) - pixels(theirs)).mean() > 1
    assert read_provenance(theirs.png)["model_version"] == "t" * 64
    assert tuned.parts is sampler.parts


def test_frames_go_from_noise_to_the_very_image(
    make_sampler: MakeSampler, workspace: Workspace, advance: Advance
) -> None:
    sampler = make_sampler(num_inference_steps=5)
    frames = list(sampler.frames(sampler.pairs, every_steps=2))
    assert len(frames) == 4  # after 0, 2, 4 and 5 steps
    finished = sampler.draw(sampler.pairs, workspace, advance)
    for image, sample in zip(frames[-1], finished, strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(sample.image))


def test_a_image_says_what_it_is(
    make_sampler: MakeSampler, workspace: Workspace, advance: Advance
) -> None:
    sampler = make_sampler(prompts=("a red äpple 🍎",), seeds=(7,))
    (sample,) = sampler.draw(sampler.pairs, workspace, advance)
    assert read_provenance(sample.png) == {
        "base_version": "b" * 64,
        "model_version": "b" * 64,
        "prompt": "a red äpple 🍎",
        "seed": "7",
        "negative_prompt": "",
        "scheduler": "dpm++",
        "steps": "3",
        "guidance_scale": "7.5",
    }


def test_a_prompt_that_would_be_cut_is_refused(
    make_sampler: MakeSampler, workspace: Workspace, advance: Advance
) -> None:
    sampler = make_sampler(prompts=("apple " * 200,))
    with pytest.raises(StyleFileError, match=r"tokens long, but the base reads 77"):
        sampler.draw(sampler.pairs, workspace, advance)


def test_nan_is_refused_by_prompt_and_seed(
    base: Path, make_sampler: MakeSampler, workspace: Workspace, advance: Advance
) -> None:
    sampler = make_sampler(batch_size=1)
    with torch.no_grad():
        sampler.denoiser.model.conv_out.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"'a red apple' with seed 0 holds NaN"):
        sampler.draw(sampler.pairs, workspace, advance)
    assert not workspace.work


def test_a_missing_base_is_refused(
    make_sampler: MakeSampler, workspace: Workspace, tmp_path: Path, advance: Advance
) -> None:
    settings = make_sampler().settings
    compute = Compute(torch.device("cpu"), torch.float32)
    sampler = Sampler(tmp_path / "none", settings, compute, base_version="v")
    with pytest.raises(ModelError, match="none"):
        sampler.draw(sampler.pairs, workspace, advance)


@pytest.mark.parametrize("module", ["sampler", "grid", "evolution", "denoising"])
def test_stages_are_importable_without_torch(module: str) -> None:
    code = f"import styledag.sampling.{module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_image_has_the_size_of_the_style_or_of_the_settings(
    base: Path, make_sampler: MakeSampler, workspace: Workspace, advance: Advance
) -> None:
    def sized(width: int, height: int, **settings: int) -> Sampler:
        plain = make_sampler(prompts=("a red apple",), seeds=(0,), **settings)
        return Sampler(
            base,
            plain.settings,
            plain.compute,
            base_version=plain.base_version,
            width_px=width,
            height_px=height,
        )

    own = make_sampler().image_key(("a red apple", 0))
    assert sized(64, 64).image_key(("a red apple", 0)) == own
    for sampler, size in (
        (sized(48, 32), (48, 32)),
        (sized(64, 64, width_px=32), (32, 64)),
        (sized(48, 48, width_px=64, height_px=64), (64, 64)),
    ):
        assert (sampler.image_key(("a red apple", 0)) == own) == (size == (64, 64))
        tuned = sampler.with_weights(Weights.stored("copy", base / "unet"))
        for each in (sampler, tuned):
            (sample,) = each.draw(each.pairs, workspace, advance)
            assert sample.image.size == size
    ragged = sized(50, 64)
    with pytest.raises(DataError, match=r"50x64 px .* multiples of 4 px"):
        ragged.draw(ragged.pairs, workspace, advance)


@pytest.mark.parametrize("size", [(64, 64), (48, 32)])
@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("ddim", DDIMScheduler),
        ("dpm++", DPMSolverMultistepScheduler),
        ("euler_a", EulerAncestralDiscreteScheduler),
    ],
)
def test_latents_of_every_step_are_the_pipelines(
    base: Path, make_sampler: MakeSampler, name: str, scheduler: type, size: tuple[int, int]
) -> None:
    width_px, height_px = size
    sampler = make_sampler(
        prompts=("a red apple",),
        seeds=(3,),
        scheduler=name,
        num_inference_steps=4,
        guidance_scale=5.0,
        negative_prompt="a ball",
        width_px=width_px,
        height_px=height_px,
    )
    pipeline = StableDiffusionPipeline.from_pretrained(base, dtype=torch.float32)
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    expected: list[torch.Tensor] = []

    def keep(
        pipe: StableDiffusionPipeline, step: int, timestep: int, given: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        del step, timestep
        latents = given["latents"]
        if name == "euler_a":
            sigma = float(pipe.scheduler.sigmas[pipe.scheduler.step_index])
            latents = latents / (sigma**2 + 1) ** 0.5
        expected.append(latents)
        return {}

    pipeline(
        "a red apple",
        negative_prompt="a ball",
        num_inference_steps=4,
        guidance_scale=5.0,
        width=width_px,
        height=height_px,
        generator=generator_for("sample", "a red apple", 3),
        callback_on_step_end=keep,
        output_type="latent",
    )
    noise, *steps = sampler.denoiser.denoise(sampler.pairs)
    assert noise.shape == expected[0].shape
    for ours, theirs in zip(steps, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
