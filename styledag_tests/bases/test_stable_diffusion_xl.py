"""Stable Diffusion XL against diffusers' own pipeline, with tiny weights of the real classes."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file

from styledag.bases.clip import STATES
from styledag.bases.find import find_base
from styledag.bases.latents import LatentScale
from styledag.bases.stable_diffusion_xl import POOLED
from styledag.errors import ModelError
from styledag.merging.blend import blend_unet
from styledag.models.compute import Compute
from styledag.progress import SilentProgress
from styledag.randomness import generator_for
from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.training.batches import Batches
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.encode import encode_dataset
from styledag.training.estimating.estimate import PlannedTraining, estimate_training
from styledag.training.estimating.throughput import measure_throughput
from styledag.training.lora import DIFFUSERS_FILE
from styledag.training.recipe import EmaSettings, LoraSettings, Recipe
from styledag.training.records import TrainingResult
from styledag.training.train import train_unet
from styledag_tests.bases.loading import load_unet
from styledag_tests.bases.stable_diffusion_xl import (
    PROJECTED,
    WIDTHS,
    write_stable_diffusion_xl,
)
from styledag_tests.training.conftest import make_samples, ragged_samples
from styledag_tests.training.test_resume import Interrupting

CPU = Compute(torch.device("cpu"), torch.float32)
RECIPE = Recipe(
    batch_size=2,
    epochs=2,
    learning_rate=3e-3,
    horizontal_flip=False,
    ema=EmaSettings(mode="none"),
    snapshot_every_epochs=2,
    seed=3,
)
WEIGHTS = "diffusion_pytorch_model.safetensors"
TEXTS = ["a red apple", "größe 🙂 hammer's", "a small dog on a sofa"]


@pytest.fixture(scope="module")
def xl(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xl") / "base"
    return write_stable_diffusion_xl(folder, starter / "stable-diffusion" / "tokenizer")


@pytest.fixture
def copy(xl: Path, tmp_path: Path) -> Path:
    return shutil.copytree(xl, tmp_path / "copy")


@pytest.fixture
def encoded(xl: Path, store: Store, workspace: Workspace) -> EncodedDataset:
    samples = ragged_samples(store, {(16, 16): 3, (24, 16): 2})
    return encode(xl, samples, workspace)


def encode(folder: Path, samples: Any, workspace: Workspace) -> EncodedDataset:
    encode_dataset(samples, folder, base_version="1", compute=CPU, workspace=workspace, flip=False)
    return EncodedDataset.open(workspace.folder)


def pipeline_of(folder: Path) -> StableDiffusionXLPipeline:
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def train(
    encoded: EncodedDataset, folder: Path, scratch: Path, *, progress: Any = None, **changed: Any
) -> TrainingResult:
    return train_unet(
        encoded,
        folder,
        replace(RECIPE, **changed),
        inputs={"base_unet": "1", "encoded_dataset": "1"},
        compute=CPU,
        scratch=scratch,
        on_snapshot=lambda _: None,
        progress=progress or SilentProgress(),
        work=Counter(),
    )


def change(path: Path, **changed: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed), encoding="utf-8")


def test_it_is_found_with_all_its_parts(xl: Path) -> None:
    base = find_base(xl)
    assert base.family == "Stable Diffusion XL"
    stated = json.loads((xl / "model_index.json").read_text())
    assert set(base.parts.sampling) == {
        name for name, each in stated.items() if isinstance(each, list)
    }
    assert base.size_px == (16, 16)
    assert base.latents.scale == LatentScale(0.13025)


def test_text_states_are_the_pipelines(xl: Path) -> None:
    pipeline = pipeline_of(xl)
    states, negative, pooled, negative_pooled = pipeline.encode_prompt(
        TEXTS, device="cpu", negative_prompt=["a ball", "no", "!"]
    )
    encoder = find_base(xl).text_encoder()
    ours = encoder.encode([*TEXTS, "a ball", "no", "!"])
    assert ours[STATES].shape[-1] == sum(WIDTHS)
    assert ours[POOLED].shape[-1] == PROJECTED
    torch.testing.assert_close(ours[STATES], torch.cat([states, negative]))
    torch.testing.assert_close(ours[POOLED], torch.cat([pooled, negative_pooled]))


def test_the_empty_text_is_zeros_where_the_base_says_so(xl: Path, copy: Path) -> None:
    _, negative, _, negative_pooled = pipeline_of(xl).encode_prompt("a cat", device="cpu")
    both = find_base(xl).text_encoder().encode(["a cat", ""])
    for name, expected in ((STATES, negative), (POOLED, negative_pooled)):
        assert not expected.any()
        assert torch.equal(both[name][1:], expected)
        assert both[name][0].any()
    change(copy / "model_index.json", force_zeros_for_empty_prompt=False)
    _, negative, _, negative_pooled = pipeline_of(copy).encode_prompt("a cat", device="cpu")
    empty = find_base(copy).text_encoder().encode([""])
    assert negative.any()
    torch.testing.assert_close(empty[STATES], negative)
    torch.testing.assert_close(empty[POOLED], negative_pooled)


def test_the_shorter_limit_and_the_longer_count_are_its_own(copy: Path) -> None:
    assert find_base(copy).tokens.limit == 77
    assert find_base(copy).tokens.count("a cat") >= 4
    change(copy / "tokenizer_2" / "tokenizer_config.json", model_max_length=9)
    assert find_base(copy).tokens.limit == 9


@pytest.mark.parametrize("size", [(16, 16), (24, 16)])
@pytest.mark.parametrize(
    ("name", "scheduler", "guidance_scale", "negative"),
    [
        ("ddim", DDIMScheduler, 5.0, ""),
        ("dpm++", DPMSolverMultistepScheduler, 5.0, "a ball"),
        ("euler", EulerDiscreteScheduler, 5.0, ""),
        ("euler", EulerDiscreteScheduler, 1.0, ""),
        ("euler_a", EulerAncestralDiscreteScheduler, 5.0, "a ball"),
    ],
)
def test_latents_after_all_steps_are_the_pipelines(
    xl: Path,
    name: str,
    scheduler: Any,
    guidance_scale: float,
    negative: str,
    size: tuple[int, int],
) -> None:
    width_px, height_px = size
    settings = SampleSettings(
        prompts=("a red apple",),
        seeds=(3,),
        scheduler=name,
        num_inference_steps=4,
        guidance_scale=guidance_scale,
        negative_prompt=negative,
    )
    sampler = Sampler(xl, settings, CPU, base_version="b", width_px=width_px, height_px=height_px)
    pipeline = pipeline_of(xl)
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    expected = pipeline(
        "a red apple",
        negative_prompt=negative or None,
        num_inference_steps=4,
        guidance_scale=guidance_scale,
        width=width_px,
        height=height_px,
        generator=generator_for("sample", "a red apple", 3),
        output_type="latent",
    ).images
    *_, ours = sampler.denoiser.denoise(sampler.pairs)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_prediction_reads_size_and_pooled_states(xl: Path) -> None:
    base, unet = find_base(xl), load_unet(xl)
    latents = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    given = base.text_encoder().encode(["a cat", ""])
    timesteps = torch.tensor([7, 500])
    ids = torch.tensor([[16.0, 24.0, 0.0, 0.0, 16.0, 24.0]] * 2)
    with torch.no_grad():
        ours = base.predict(base.denoiser(), latents, timesteps, given)

        def theirs(ids: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
            added = {"text_embeds": pooled, "time_ids": ids}
            predicted: torch.Tensor = unet(
                latents, timesteps, given[STATES], added_cond_kwargs=added
            ).sample
            return predicted

        assert torch.equal(ours, theirs(ids, given[POOLED]))
        assert not torch.equal(ours, theirs(ids.flip(1), given[POOLED]))
        assert not torch.equal(ours, theirs(ids, given[POOLED] + 1))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_first_loss_is_the_formulas(
    copy: Path, store: Store, workspace: Workspace, tmp_path: Path, prediction_type: str
) -> None:
    change(copy / "scheduler" / "scheduler_config.json", prediction_type=prediction_type)
    encoded = encode(copy, make_samples(store, 2), workspace)
    result = train(encoded, copy, tmp_path / "run", epochs=1, snapshot_every_epochs=1)
    batches = Batches(encoded, RECIPE, find_base(copy).objective())
    ((samples,),) = batches.steps(1)
    batch = batches.training_batch(samples, 1)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    signal = (1 - betas).cumprod(0)[batch.timesteps].float()[:, None, None, None]
    noisy = signal.sqrt() * batch.latents + (1 - signal).sqrt() * batch.noise
    target = batch.noise
    if prediction_type == "v_prediction":
        target = signal.sqrt() * batch.noise - (1 - signal).sqrt() * batch.latents
    added = {
        "text_embeds": batch.conditioning[POOLED].float(),
        "time_ids": torch.tensor([[16, 16, 0, 0, 16, 16]] * 2),
    }
    with torch.no_grad():
        predicted = load_unet(copy)(
            noisy, batch.timesteps, batch.conditioning[STATES].float(), added_cond_kwargs=added
        ).sample
    assert result.log[0].loss == pytest.approx(
        float((predicted - target).square().mean()), rel=1e-5
    )


def test_one_image_is_overfitted(
    xl: Path, store: Store, workspace: Workspace, tmp_path: Path
) -> None:
    encoded = encode(xl, make_samples(store, 1), workspace)
    result = train(encoded, xl, tmp_path, batch_size=1, epochs=150, snapshot_every_epochs=150)
    losses = [each.loss for each in result.log]
    assert sum(losses[-20:]) < 0.6 * sum(losses[:20])


def test_a_run_that_is_cut_off_ends_in_the_same_weights(
    xl: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    ways: dict[str, Any] = {
        "ema": EmaSettings(mode="base", base_share=0.2),
        "epochs": 3,
        "save_state_every_steps": 2,
    }
    undisturbed = train(encoded, xl, tmp_path / "undisturbed", **ways)
    with pytest.raises(KeyboardInterrupt):
        train(encoded, xl, tmp_path / "cut", progress=Interrupting(5), **ways)
    resumed = train(encoded, xl, tmp_path / "cut", **ways)
    assert resumed.log == undisturbed.log
    one, other = (load_file(each.final.folder / WEIGHTS) for each in (resumed, undisturbed))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_blends_of_weight_zero_and_one_are_base_and_fine_tune(
    xl: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    tuned = train(encoded, xl, tmp_path / "run").final.folder
    base = find_base(xl)
    for weight, folder in ((0.0, xl / "unet"), (1.0, tuned)):
        into = tmp_path / str(weight)
        blend_unet(xl / "unet", tuned, weight, into, parents={}, base_share=0.0, blocks=base.blocks)
        expected, blended = load_file(folder / WEIGHTS), load_file(into / WEIGHTS)
        assert expected.keys() == blended.keys()
        assert all(
            torch.equal(blended[name].to(each.dtype), each) for name, each in expected.items()
        )


def test_lora_files_load_in_diffusers_and_predict_the_same(
    xl: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    result = train(
        encoded,
        xl,
        tmp_path,
        trained="attention",
        lora=LoraSettings(rank=4),
        learning_rate=1e-2,
        epochs=4,
        snapshot_every_epochs=4,
    )
    folder = result.final.folder
    file = next(folder.parent.rglob(DIFFUSERS_FILE))
    pipeline = pipeline_of(xl)
    base = find_base(xl)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    given = base.text_encoder().encode(["a cat"])
    with torch.no_grad():
        before = base.predict(pipeline.unet, latents, torch.tensor(500), given)
        pipeline.load_lora_weights(file.parent, weight_name=file.name)
        theirs = base.predict(pipeline.unet, latents, torch.tensor(500), given)
        ours = base.predict(base.denoiser(folder), latents, torch.tensor(500), given)
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)
    assert not torch.allclose(before, theirs, atol=1e-2)


def test_memory_flops_and_speed_are_predicted(xl: Path, encoded: EncodedDataset) -> None:
    planned = PlannedTraining.of(encoded, xl, RECIPE, compute=CPU)
    estimate = estimate_training(planned)
    assert estimate.parameters == sum(each.numel() for each in load_unet(xl).parameters())
    assert 2 * estimate.flops_forward < estimate.flops <= 3 * estimate.flops_forward
    assert measure_throughput(planned).flops_per_s > 0


def test_on_the_meta_device_no_weights_are_read(copy: Path) -> None:
    for path in copy.rglob("*.safetensors"):
        path.unlink()
    base = find_base(copy)
    expected = base.meta_conditioning(2)
    encoded = base.text_encoder(device="meta").encode(["", "a cat"])
    assert {name: each.shape for name, each in encoded.tensors.items()} == {
        name: each.shape for name, each in expected.tensors.items()
    }
    latents = torch.empty(2, 4, 8, 8, device="meta")
    timesteps = torch.zeros(2, device="meta", dtype=torch.int64)
    assert base.predict(base.denoiser(device="meta"), latents, timesteps, expected).shape == (
        latents.shape
    )


def test_float16_is_not_for_the_autoencoder(xl: Path) -> None:
    assert find_base(xl).autoencoder(dtype=torch.float16).dtype == torch.float32
    assert find_base(xl).autoencoder(dtype=torch.bfloat16).dtype == torch.bfloat16


def test_a_scale_for_each_channel_is_refused(copy: Path) -> None:
    change(copy / "vae" / "config.json", latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    with pytest.raises(ModelError, match="states latents_mean"):
        find_base(copy).latents.scale  # noqa: B018 - read for what it raises


def test_a_unet_of_stable_diffusion_is_refused(copy: Path, base: Path) -> None:
    shutil.rmtree(copy / "unet")
    shutil.copytree(base / "unet", copy / "unet")
    with pytest.raises(ModelError, match=r"addition_embed_type None, .* has 'text_time'"):
        find_base(copy).denoiser(device="meta")


def test_a_unet_of_xl_is_refused_by_stable_diffusion(xl: Path, base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(xl / "unet"))
    unet.save_pretrained(folder / "unet")
    with pytest.raises(ModelError, match=r"addition_embed_type 'text_time', .* has None"):
        find_base(folder).denoiser()
