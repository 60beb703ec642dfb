"""What holds for every family, against diffusers' own pipeline of it.

A further family adds one file to ``families/``.
"""

import inspect
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from styledag.bases.base import Base
from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag.merging.blend import blend_unet
from styledag.models.compute import Compute
from styledag.progress import SilentProgress
from styledag.publishing.pipeline_folder import export_pipeline
from styledag.randomness import generator_for
from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.tensors.layout import DIFFUSERS_LORA_FILE
from styledag.training.batches import Batch, Batches
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.encode import encode_dataset
from styledag.training.estimating.dry_pass import text_encoder_bytes
from styledag.training.estimating.estimate import PlannedTraining, estimate_training
from styledag.training.estimating.throughput import measure_throughput
from styledag.training.recipe import EmaSettings, LoraSettings, Recipe
from styledag.training.records import Snapshot, TrainingResult
from styledag.training.train import train_unet
from styledag_tests.bases.families import TEXTS, TinyFamily, tiny_families
from styledag_tests.training.conftest import make_samples, ragged_samples

CPU = Compute(torch.device("cpu"), torch.float32)
RECIPE = Recipe(
    batch_size=2,
    epochs=2,
    learning_rate=3e-3,
    horizontal_flip=False,
    ema=EmaSettings(mode="none"),
    snapshot_every_epochs=2,
    snapshot_dtype="bfloat16",
    seed=3,
)
WEIGHTS = "diffusion_pytorch_model.safetensors"
FAMILIES = tiny_families()
SAMPLED = [
    pytest.param(name, sampler, guidance_scale, id=f"{name}-{sampler}-{guidance_scale}")
    for name, each in FAMILIES.items()
    for sampler in each.samplers
    for guidance_scale in each.guided
]


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def family(name: str) -> TinyFamily:
    return FAMILIES[name]


@pytest.fixture
def folder(name: str, folder_of: Callable[[str], Path]) -> Path:
    return folder_of(name)


@pytest.fixture
def base(folder: Path) -> Base:
    return find_base(folder)


@pytest.fixture
def encoded(folder: Path, store: Store, workspace: Workspace) -> EncodedDataset:
    return encode(folder, ragged_samples(store, {(16, 16): 3, (24, 16): 2}), workspace)


def encode(
    folder: Path, samples: Any, workspace: Workspace, compute: Compute = CPU
) -> EncodedDataset:
    encode_dataset(
        samples, folder, base_version="1", compute=compute, workspace=workspace, flip=False
    )
    return EncodedDataset.open(workspace.folder)


def train(
    encoded: EncodedDataset,
    folder: Path,
    scratch: Path,
    *,
    compute: Compute = CPU,
    progress: Any = None,
    on_snapshot: Callable[[Snapshot], None] = lambda _: None,
    **changed: Any,
) -> TrainingResult:
    return train_unet(
        encoded,
        folder,
        replace(RECIPE, **changed),
        inputs={"base_unet": "1", "encoded_dataset": "1"},
        compute=compute,
        scratch=scratch,
        on_snapshot=on_snapshot,
        progress=progress or SilentProgress(),
        work=Counter(),
    )


def drawn_latents(base: Base) -> Tensor:
    """Noise of the shape of latents of images of 24 x 16 pixels."""
    shape = base.latents.shape(width_px=24, height_px=16)
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))


def test_it_is_found_with_all_its_parts(folder: Path, base: Base) -> None:
    stated = json.loads((folder / "model_index.json").read_text())
    assert set(base.parts.sampling) == {
        name for name, each in stated.items() if isinstance(each, list) and each[-1]
    }
    for part in (base.parts.denoiser, base.parts.autoencoder, *base.parts.tokenizers):
        assert part in base.parts.sampling
    shape = base.latents.shape(width_px=24, height_px=16)
    assert len(base.sampler(base.usual_sampler, 3, shape).timesteps) >= 3


def test_guidance_is_usually_the_pipelines(family: TinyFamily, base: Base) -> None:
    called = inspect.signature(getattr(diffusers, family.pipeline).__call__)
    ours, theirs = max(family.guided.items())
    usual = called.parameters[family.guidance].default
    assert base.usual_guidance_scale == usual + ours - theirs


def test_text_states_are_the_pipelines(family: TinyFamily, folder: Path, base: Base) -> None:
    texts = [*TEXTS, "a"]
    expected = family.states(family.load(folder), texts)
    ours = base.text_encoder().encode(texts)
    assert ours.tensors.keys() == expected.keys()
    for name, each in expected.items():
        torch.testing.assert_close(ours[name], each)
    assert not torch.equal(*(next(iter(ours.tensors.values()))[at] for at in (0, 2)))


@pytest.mark.parametrize(("name", "sampler", "guidance_scale"), SAMPLED)
def test_latents_and_images_are_the_pipelines(
    folder_of: Callable[[str], Path], name: str, sampler: str, guidance_scale: float
) -> None:
    family, folder = FAMILIES[name], folder_of(name)
    pipeline = family.load(folder)
    kind = getattr(diffusers, family.samplers[sampler])
    negatives = ("", family.negative if guidance_scale != 1 else "")
    for (width_px, height_px), negative in zip(family.sizes, negatives, strict=True):
        settings = SampleSettings(
            prompts=("a red apple",),
            seeds=(3,),
            scheduler=sampler,
            num_inference_steps=4,
            guidance_scale=guidance_scale,
            negative_prompt=negative,
        )
        drawing = Sampler(
            folder, settings, CPU, base_version="b", width_px=width_px, height_px=height_px
        ).denoiser

        def theirs(output_type: str) -> Any:
            pipeline.scheduler = kind.from_config(pipeline.scheduler.config)
            return pipeline(
                **family.prompted("a red apple", negative),  # noqa: B023
                num_inference_steps=4,
                **{family.guidance: family.guided[guidance_scale]},
                width=width_px,  # noqa: B023
                height=height_px,  # noqa: B023
                generator=generator_for("sample", "a red apple", 3),
                output_type=output_type,
            ).images

        *_, ours = drawing.denoise([("a red apple", 3)])
        expected = family.of_pipeline(pipeline, theirs("latent"))
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
        (image,) = drawing.decode(ours, [("a red apple", 3)])
        difference = np.asarray(image, np.int16) - np.asarray(theirs("pil")[0], np.int16)
        assert np.abs(difference).max() <= 1


def test_prediction_is_the_denoisers_own(family: TinyFamily, folder: Path, base: Base) -> None:
    given = base.text_encoder().encode(["a cat", ""])
    latents, timesteps = drawn_latents(base), torch.tensor([7, 500])
    with torch.no_grad():
        ours = base.predict(base.denoiser(), latents, timesteps, given)
        theirs = family.predict(family.load(folder), latents, timesteps, given)
        of_one = base.predict(base.denoiser(), latents[1:], timesteps[1], given.select([1]))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(of_one, theirs[1:], rtol=1e-4, atol=1e-5)


def line(family: TinyFamily, batch: Batch) -> tuple[Tensor, Tensor]:
    """The denoiser's input and its target, as the papers have them."""
    latents, noise = batch.latents, batch.noise
    if family.flow:
        times = batch.timesteps[:, None, None, None] / 1000
        return (1 - times) * latents + times * noise, noise - latents
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    signal = (1 - betas).cumprod(0)[batch.timesteps].float()[:, None, None, None]
    return signal.sqrt() * latents + (1 - signal).sqrt() * noise, noise


def test_first_loss_is_the_papers(
    family: TinyFamily, folder: Path, store: Store, workspace: Workspace, tmp_path: Path
) -> None:
    encoded = encode(folder, make_samples(store, 2), workspace)
    result = train(encoded, folder, tmp_path / "run", epochs=1, snapshot_every_epochs=1)
    batches = Batches(encoded, RECIPE, find_base(folder).objective())
    ((samples,),) = batches.steps(1)
    batch = batches.training_batch(samples, 1)
    noisy, target = line(family, batch)
    conditioning = batch.conditioning.to(dtype=torch.float32)
    with torch.no_grad():
        predicted = family.predict(family.load(folder), noisy, batch.timesteps, conditioning)
    expected = float((predicted - target).square().mean())
    assert result.log[0].loss == pytest.approx(expected, rel=1e-5)


def test_blends_of_weight_zero_and_one_are_base_and_fine_tune(
    folder: Path, base: Base, encoded: EncodedDataset, tmp_path: Path
) -> None:
    own = folder / base.parts.denoiser
    tuned = train(encoded, folder, tmp_path / "run").final.folder
    assert tuned.name == own.name
    for weight, expected_folder in ((0.0, own), (1.0, tuned)):
        into = tmp_path / str(weight)
        blend_unet(own, tuned, weight, into, parents={}, base_share=0.0, blocks=base.blocks)
        expected, blended = load_file(expected_folder / WEIGHTS), load_file(into / WEIGHTS)
        assert expected.keys() == blended.keys()
        assert all(
            torch.equal(blended[name].to(each.dtype), each) for name, each in expected.items()
        )


def test_every_block_names_weights(base: Base) -> None:
    names = list(base.denoiser(device="meta").state_dict())
    for prefix in base.blocks.values():
        assert any(name.startswith(f"{prefix}.") for name in names), prefix


def test_an_exported_pipeline_is_drawn_with_by_diffusers(
    family: TinyFamily, folder: Path, base: Base, encoded: EncodedDataset, tmp_path: Path
) -> None:
    tuned = train(encoded, folder, tmp_path / "run").final.folder
    export_pipeline(folder, tmp_path / "out", replaced={base.parts.denoiser: tuned})
    exported = family.load(tmp_path / "out")
    given = base.text_encoder().encode(["a cat"])
    for name, states in family.states(exported, ["a cat"]).items():
        torch.testing.assert_close(given[name], states)
    latents, timestep = drawn_latents(base)[:1], torch.tensor([500])
    with torch.no_grad():
        theirs = family.predict(exported, latents, timestep, given)
        ours = base.predict(base.denoiser(tuned), latents, timestep, given)
        before = base.predict(base.denoiser(), latents, timestep, given)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(ours, before, atol=1e-3)


def test_lora_files_load_in_diffusers_and_predict_the_same(
    family: TinyFamily, folder: Path, base: Base, encoded: EncodedDataset, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    result = train(
        encoded,
        folder,
        tmp_path,
        trained="attention",
        lora=LoraSettings(rank=4, alpha=8),
        learning_rate=1e-2,
        epochs=4,
        snapshot_every_epochs=4,
    )
    tuned = result.final.folder
    (file,) = tuned.parent.rglob(DIFFUSERS_LORA_FILE)
    pipeline = family.load(folder)
    given = base.text_encoder().encode(["a cat"])
    latents, timestep = drawn_latents(base)[:1], torch.tensor([500])
    with torch.no_grad():
        before = family.predict(pipeline, latents, timestep, given)
        pipeline.load_lora_weights(file.parent, weight_name=file.name)
        theirs = family.predict(pipeline, latents, timestep, given)
        ours = base.predict(base.denoiser(tuned), latents, timestep, given)
    moved = (theirs - before).abs().max()
    assert moved > 0.1
    # The adapters are stored in float16, and the weights that they are folded into in bfloat16.
    assert (ours - theirs).abs().max() < 0.02 * moved


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_bytes_of_text_encoders_are_those_of_what_is_read(
    folder: Path, base: Base, dtype: torch.dtype
) -> None:
    models = base.text_encoder(dtype=dtype).models.values()
    sizes = {name: each.nbytes for model in models for name, each in model.named_parameters()}
    unread = sum(size for name, size in sizes.items() if name.startswith("text_projection"))
    whole = sum(each.nbytes for model in models for each in model.parameters())
    assert 0 < whole - unread <= text_encoder_bytes(folder, dtype) <= whole


def test_parameters_flops_and_speed_are_predicted(
    folder: Path, base: Base, encoded: EncodedDataset
) -> None:
    planned = PlannedTraining.of(encoded, folder, RECIPE, compute=CPU)
    estimate = estimate_training(planned)
    assert estimate.parameters == sum(each.numel() for each in base.denoiser().parameters())
    assert 2 * estimate.flops_forward < estimate.flops <= 3 * estimate.flops_forward
    throughput = measure_throughput(planned).flops_per_s
    assert 0 < throughput < math.inf


def test_on_the_meta_device_no_weights_are_read(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    for path in copy.rglob("*.safetensors"):
        path.unlink()
    base = find_base(copy)
    expected = base.meta_conditioning(2)
    encoded = base.text_encoder(device="meta").encode(["", "a cat"])
    assert {name: (each.shape, each.dtype) for name, each in encoded.tensors.items()} == {
        name: (each.shape, each.dtype) for name, each in expected.tensors.items()
    }
    latents = drawn_latents(base).to("meta")
    timesteps = torch.zeros(2, device="meta", dtype=torch.int64)
    predicted = base.predict(base.denoiser(device="meta"), latents, timesteps, expected)
    assert predicted.shape == latents.shape
    assert len(base.modules_to_compile(base.denoiser(device="meta"))) > 1


def test_float16_is_not_for_the_autoencoder(base: Base) -> None:
    assert base.autoencoder(dtype=torch.float16).dtype == torch.float32
    assert base.autoencoder(dtype=torch.bfloat16).dtype == torch.bfloat16


def test_settings_of_the_other_objective_are_refused(family: TinyFamily, base: Base) -> None:
    from styledag.bases.flow_objective import FlowSettings

    wrong: dict[str, Any] = {"min_snr_gamma": 5.0} if family.flow else {"flow": FlowSettings()}
    with pytest.raises(ModelError, match="remove"):
        base.objective(**wrong)
