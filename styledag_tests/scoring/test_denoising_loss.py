import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from styledag.errors import ModelError
from styledag.models.compute import Compute
from styledag.randomness import generator_for
from styledag.sampling.frozen_parts import FrozenParts
from styledag.sampling.weights import Weights
from styledag.scoring.denoising_loss import TIMESTEPS, relative_loss
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag_tests.bases.toy import ToyDenoiser, write_toy
from styledag_tests.scoring.loss_cases import losses_of, noised

SHAPE = (4, 8, 8)


def test_losses_are_the_squared_errors_of_the_noise_at_eight_equidistant_timesteps(
    base: Path, workspace: Workspace
) -> None:
    image = noised(1, SHAPE, "a red fox")
    found = losses_of(base, workspace).of(Weights.stored("own", base / "unet"), [image])
    scheduler = DDPMScheduler.from_pretrained(base / "scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    ids = tokenizer("a red fox", padding="max_length", return_tensors="pt").input_ids
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    expected = []
    for part, timestep in enumerate(torch.arange(62, 1000, 125)):
        noise = torch.randn(SHAPE, generator=generator_for("scores", image.sha256, part))[None]
        noisy = scheduler.add_noise(image.latents()[None], noise, timestep[None])
        with torch.no_grad():
            states = CLIPTextModel.from_pretrained(base / "text_encoder")(ids)[0]
            error = unet(noisy, timestep, states).sample - noise
        expected.append(float(error.square().mean()))
    assert found.shape == (1, TIMESTEPS)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)


@pytest.mark.gpu
def test_a_gpu_gives_the_losses_of_the_cpu(
    base: Path, workspace: Workspace, tmp_path: Path
) -> None:
    weights, images = Weights.stored("own", base / "unet"), [noised(at, SHAPE) for at in range(3)]
    expected = losses_of(base, workspace).of(weights, images)
    gpu = Compute(torch.device("cuda", 0), torch.float32)
    other = Store(str(tmp_path / "other"))
    apart = Workspace(tmp_path, tmp_path, other.blobs, other.items)
    found = losses_of(base, apart, compute=gpu).of(weights, images)
    assert apart.work["denoising_losses"] == len(images)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_second_look_computes_nothing_and_a_further_image_only_itself(
    base: Path, workspace: Workspace
) -> None:
    weights = Weights.stored("own", base / "unet")
    images = [noised(number, SHAPE) for number in range(3)]
    first = losses_of(base, workspace).of(weights, images[:2])
    assert workspace.work == {"denoising_losses": 2}
    workspace.work.clear()
    missing = Weights.stored("own", base / "removed")
    np.testing.assert_array_equal(losses_of(base, workspace).of(missing, images[:2]), first)
    assert not workspace.work
    again = losses_of(base, workspace).of(weights, images)
    assert workspace.work == {"denoising_losses": 1}
    np.testing.assert_array_equal(again[:2], first)
    losses_of(base, workspace).of(Weights.stored("tuned", base / "unet"), images)
    assert workspace.work == {"denoising_losses": 4}


def test_neither_batch_nor_order_changes_a_loss(base: Path, workspace: Workspace) -> None:
    images = [noised(number, SHAPE) for number in range(3)]
    images.append(noised(9, (4, 8, 16)))
    found = {
        size: losses_of(base, workspace, size).of(
            Weights.stored(f"own {size}", base / "unet"), images[:: 1 if size == 3 else -1]
        )
        for size in (3, 64)
    }
    np.testing.assert_allclose(found[3], found[64][::-1], rtol=1e-4)


def test_a_family_of_another_kind_is_asked_through_the_same_protocol(
    tmp_path: Path, workspace: Workspace
) -> None:
    folder = write_toy(tmp_path)
    image = noised(1, (3, 4, 4), "thing 1")
    found = losses_of(folder, workspace).of(Weights.stored("own", folder / "transformer"), [image])
    parts = losses_of(folder, workspace)._parts
    words = parts.conditioning(["thing 1"])
    model = ToyDenoiser.from_pretrained(folder / "transformer")
    objective = parts.base.objective()
    for part in range(TIMESTEPS):
        noise = torch.randn((3, 4, 4), generator=generator_for("scores", image.sha256, part))
        sigma = objective.timesteps([(part + 0.5) / TIMESTEPS], (3, 4, 4)) / 1000
        seen = (1 - sigma) * image.latents() + sigma * noise
        with torch.no_grad():
            predicted = model(seen[None], sigma, words["states"], words["mask"])[0]
        error = predicted - (noise - image.latents())
        assert found[0, part] == pytest.approx(float(error.square().mean()), rel=1e-4)


def test_text_encoders_are_freed_before_the_denoiser_is_loaded(
    base: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = losses_of(base, workspace)
    family, encoders = losses._parts.base, []
    load = family.text_encoder

    def loaded(**given: Any) -> Any:
        encoder = load(**given)
        encoders.append(weakref.ref(encoder))
        return encoder

    monkeypatch.setattr(family, "text_encoder", loaded)
    seen: list[list[bool]] = []

    def denoiser(parts: FrozenParts) -> Any:
        seen.append([each() is None for each in encoders])
        return parts.denoiser(base / "unet")

    losses.of(Weights("own", denoiser), [noised(1, SHAPE, "a fox"), noised(2, SHAPE, "a hen")])
    assert seen == [[True]]
    assert len(encoders) == 1


def test_weights_that_diverged_are_named(base: Path, workspace: Workspace, tmp_path: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    with torch.no_grad():
        unet.conv_out.weight.fill_(float("inf"))
    unet.save_pretrained(tmp_path / "unet")
    with pytest.raises(ModelError):
        losses_of(base, workspace).of(
            Weights.stored("broken", tmp_path / "unet"), [noised(1, SHAPE)]
        )
    assert not workspace.work


def test_what_was_computed_before_a_failure_is_not_computed_again(
    base: Path, workspace: Workspace
) -> None:
    images = [noised(number, SHAPE) for number in range(2)]
    readable_once = [images[0].latents()]
    broken = replace(noised(2, SHAPE), latents=lambda: readable_once.pop())
    weights = Weights.stored("own", base / "unet")
    with pytest.raises(IndexError):
        losses_of(base, workspace).of(weights, [*images, broken])
    assert workspace.work == {"denoising_losses": 2}
    workspace.work.clear()
    losses_of(base, workspace).of(weights, images)
    assert not workspace.work


def test_each_timestep_counts_alike() -> None:
    base = np.array([[100.0, 1.0], [300.0, 3.0]])
    statistic = relative_loss(np.array([[50.0, 1.0], [150.0, 1.0]]), base)
    assert statistic(np.array([1, 1])) == pytest.approx((200 / 400 + 2 / 4) / 2)
    assert statistic(np.array([2, 0])) == pytest.approx((0.5 + 1) / 2)
    assert relative_loss(base, np.zeros((2, 2)))(np.array([1, 1])) is None
