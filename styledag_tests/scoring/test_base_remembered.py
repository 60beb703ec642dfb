import io
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings
from styledag.scoring.base_remembered import base_remembered, own_images
from styledag.store.workspace import Workspace
from styledag_tests.scoring.loss_cases import CPU

PROMPTS = ("a red apple", "a house")


def sampler_of(base: Path) -> Sampler:
    settings = SampleSettings(
        prompts=("unused",), scheduler="ddim", num_inference_steps=2, batch_size=2
    )
    return Sampler(base, settings, CPU, base_version="b")


def test_it_is_the_bases_loss_over_the_models() -> None:
    base = np.full((3, 8), 0.5)
    counts = np.array([1, 1, 1])
    assert base_remembered(base, base)(counts) == pytest.approx(1)
    assert base_remembered(2 * base, base)(counts) == pytest.approx(0.5)
    assert base_remembered(0 * base, base)(counts) is None


def test_prompts_get_further_seeds_in_turn_and_an_image_is_drawn_once(
    base: Path, workspace: Workspace
) -> None:
    images = own_images(sampler_of(base), PROMPTS, 5, workspace)
    assert [each.group for each in images] == [*PROMPTS, *PROMPTS, PROMPTS[0]]
    assert [each.text for each in images] == [each.group for each in images]
    assert len({each.sha256 for each in images}) == 5
    assert workspace.work == {"samples": 5}
    workspace.work.clear()
    again = own_images(sampler_of(base), PROMPTS, 6, workspace)
    assert workspace.work == {"samples": 1}
    assert [each.sha256 for each in again[:5]] == [each.sha256 for each in images]


def test_latents_are_those_of_the_image_that_the_base_drew(
    base: Path, workspace: Workspace
) -> None:
    sampler = sampler_of(base)
    images = own_images(sampler, PROMPTS, 3, workspace)
    (drawn,) = sampler.draw([(PROMPTS[1], 0)], workspace, lambda _: None)
    with Image.open(io.BytesIO(drawn.png)) as image:
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
    with torch.no_grad():
        moments = AutoencoderKL.from_pretrained(base / "vae").encode(pixels.float() / 127.5 - 1)
    torch.testing.assert_close(
        images[1].latents(), 0.5 * moments.latent_dist.mean[0], rtol=1e-4, atol=1e-5
    )


def test_the_denoiser_that_drew_them_is_not_kept(base: Path, workspace: Workspace) -> None:
    sampler = sampler_of(base)
    images = own_images(sampler, PROMPTS, 2, workspace)
    denoiser = weakref.ref(sampler.denoiser.model)
    del sampler
    assert denoiser() is None
    assert images[0].latents().shape[0] == 4
