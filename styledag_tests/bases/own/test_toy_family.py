"""A family that no product file knows: encoded, trained and drawn with by the same functions."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from styledag.bases.base import Base
from styledag.bases.find import find_base
from styledag.errors import DataError, ModelError, StyleFileError, TrainingError
from styledag.merging.blend import blend_unet
from styledag.models.compute import Compute
from styledag.progress import SilentProgress
from styledag.randomness import generator_for
from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings
from styledag.sampling.weights import Weights
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.training.batches import Batches
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.encode import encode_dataset
from styledag.training.estimating.estimate import PlannedTraining, estimate_training
from styledag.training.estimating.throughput import measure_throughput
from styledag.training.recipe import EmaSettings, Recipe
from styledag.training.records import TrainingResult
from styledag.training.train import train_unet
from styledag_tests.bases.toy import SCALE, ToyDenoiser, write_toy
from styledag_tests.training.conftest import make_samples

CPU = Compute(torch.device("cpu"), torch.float32)
RECIPE = Recipe(
    batch_size=2,
    epochs=30,
    learning_rate=3e-2,
    horizontal_flip=False,
    ema=EmaSettings(mode="none"),
    snapshot_every_epochs=30,
    snapshot_dtype="bfloat16",
)
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def base(toy: Path) -> Base:
    return find_base(toy)


@pytest.fixture
def encoded(toy: Path, store: Store, workspace: Workspace) -> EncodedDataset:
    samples = [
        replace(each, caption=f"thing {at}")
        for at, each in enumerate(make_samples(store, 5, validation=1))
    ]
    encode_dataset(
        samples, toy, base_version="1", compute=CPU, workspace=workspace, batch_size=3, flip=False
    )
    return EncodedDataset.open(workspace.folder)


def train(encoded: EncodedDataset, toy: Path, scratch: Path, **changed: Any) -> TrainingResult:
    return train_unet(
        encoded,
        toy,
        replace(RECIPE, **changed),
        inputs={"toy": "1"},
        compute=CPU,
        scratch=scratch,
        on_snapshot=lambda _: None,
        progress=SilentProgress(),
        work=Counter(),
    )


def sampler(toy: Path, *, size_px: tuple[int, int] | None = None, **changed: Any) -> Sampler:
    settings = SampleSettings(
        prompts=("thing 1", "other"), seeds=(0,), scheduler="euler", num_inference_steps=3
    )
    width_px, height_px = size_px or (None, None)
    return Sampler(
        toy,
        replace(settings, **changed),
        CPU,
        base_version="b",
        width_px=width_px,
        height_px=height_px,
    )


def test_each_caption_has_its_row_in_both_tensors(base: Base, encoded: EncodedDataset) -> None:
    assert encoded.scale == SCALE
    expected = base.text_encoder().encode(encoded.captions)
    assert encoded.conditioning.tensors.keys() == {"states", "mask"}
    for name, each in expected.tensors.items():
        assert torch.equal(encoded.conditioning[name], each)
    assert encoded.conditioning["mask"].dtype == torch.bool


def test_latents_in_training_are_shifted_and_scaled(encoded: EncodedDataset) -> None:
    sample = encoded.train[0]
    moments = encoded.moments[sample.bucket]
    noise = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1))
    expected = moments.mean[sample.row, 0] + noise * (0.5 * moments.logvar[sample.row, 0]).exp()
    drawn = encoded.sample_latents(sample, torch.Generator().manual_seed(1))
    torch.testing.assert_close(drawn, (expected - 0.25) * 2.0)


def test_first_loss_is_the_flows_own(
    base: Base, encoded: EncodedDataset, toy: Path, tmp_path: Path
) -> None:
    result = train(encoded, toy, tmp_path, epochs=1, batch_size=4, snapshot_every_epochs=1)
    batches = Batches(encoded, replace(RECIPE, batch_size=4), base.objective())
    ((samples,),) = batches.steps(1)
    batch = batches.training_batch(samples, 1)
    sigma = (batch.timesteps / 1000)[:, None, None, None]
    seen = (1 - sigma) * batch.latents + sigma * batch.noise
    with torch.no_grad():
        predicted = ToyDenoiser.from_pretrained(toy / "transformer")(
            seen, sigma.flatten(), batch.conditioning["states"], batch.conditioning["mask"]
        )
    error = (predicted - (batch.noise - batch.latents)).square().mean()
    assert result.log[0].loss == pytest.approx(float(error), rel=1e-5)


def test_training_lowers_the_loss_of_the_held_out_image(
    encoded: EncodedDataset, toy: Path, tmp_path: Path
) -> None:
    short = train(encoded, toy, tmp_path / "short", epochs=1)
    result = train(encoded, toy, tmp_path / "long")
    assert result.final.validation_loss is not None
    assert short.final.validation_loss is not None
    assert result.final.validation_loss < 0.9 * short.final.validation_loss


def test_the_fine_tune_draws_what_a_loop_by_hand_draws(
    base: Base, encoded: EncodedDataset, toy: Path, tmp_path: Path, workspace: Workspace
) -> None:
    tuned = train(encoded, toy, tmp_path, epochs=2).final.folder
    drawing = sampler(toy, guidance_scale=2.0, negative_prompt="none").with_weights(
        Weights.stored("t", tuned)
    )
    with SilentProgress().task("samples", None) as advance:
        (drawn, _) = drawing.draw(drawing.pairs, workspace, advance)
    model = ToyDenoiser.from_pretrained(tuned).float()
    given = base.text_encoder().encode(["none", "thing 1"])
    latents = torch.randn(1, 3, 4, 6, generator=generator_for("sample", "thing 1", 0))
    sigmas = [1.0, 0.5005, 0.001, 0.0]
    with torch.no_grad():
        for sigma, following in pairwise(sigmas):
            times = torch.tensor([sigma, sigma])
            both = model(torch.cat([latents] * 2), times, given["states"], given["mask"])
            velocity = both[:1] + 2.0 * (both[1:] - both[:1])
            latents = latents + (following - sigma) * velocity
        pixels = base.autoencoder().model.decoder(latents / 2.0 + 0.25)[0]
    expected = ((pixels / 2 + 0.5).clamp(0, 1) * 255).permute(1, 2, 0).numpy()
    assert drawn.image.size == (24, 16)
    assert np.abs(np.asarray(drawn.image).astype(float) - expected).max() <= 1


def test_images_have_the_size_that_is_asked_for(toy: Path, workspace: Workspace) -> None:
    wide = sampler(toy, size_px=(32, 32), height_px=8)
    with SilentProgress().task("samples", None) as advance:
        assert {each.image.size for each in wide.draw(wide.pairs, workspace, advance)} == {(32, 8)}
        ragged = sampler(toy, size_px=(20, 16))
        with pytest.raises(DataError, match=r"20x16 px .* multiples of 8 px"):
            ragged.draw(ragged.pairs, workspace, advance)


def test_memory_flops_and_speed_are_predicted(encoded: EncodedDataset, toy: Path) -> None:
    planned = PlannedTraining.of(encoded, toy, RECIPE, compute=CPU)
    estimate = estimate_training(planned)
    elements = sum(each.numel() for each in load_file(toy / "transformer" / WEIGHTS).values())
    assert estimate.parameters == estimate.trained == elements
    # Two thirds of training are backward; a convolution's product counts twice.
    assert 2 * estimate.flops_forward < estimate.flops <= 3 * estimate.flops_forward
    convolutions = 2 * 4 * 4 * (2 * 3 * 8 + 2 * 9 * 8 * 8)
    assert convolutions < estimate.flops_forward < 1.1 * convolutions
    assert measure_throughput(planned).flops_per_s > 0


def test_its_own_blocks_are_trained_and_blended(
    base: Base, encoded: EncodedDataset, toy: Path, tmp_path: Path
) -> None:
    result = train(encoded, toy, tmp_path / "run", epochs=1, blocks=("block.1",))
    before = load_file(toy / "transformer" / WEIGHTS)
    after = load_file(result.final.folder / WEIGHTS)
    changed = {name for name in before if not torch.equal(before[name].bfloat16(), after[name])}
    assert changed
    assert all(name.startswith("blocks.1.") for name in changed)
    blend_unet(
        toy / "transformer",
        result.final.folder,
        1.0,
        tmp_path / "blend",
        parents={},
        base_share=0.0,
        block_weights={"block.1": 0.0},
        blocks=base.blocks,
    )
    blended = load_file(tmp_path / "blend" / WEIGHTS)
    assert all(torch.equal(blended[name], before[name]) for name in changed)


def test_what_the_family_lacks_is_refused(
    encoded: EncodedDataset, toy: Path, tmp_path: Path, workspace: Workspace
) -> None:
    with pytest.raises(TrainingError, match=r"Toy flow has no such layers: .* unet, attention"):
        train(encoded, toy, tmp_path, trained="cross_attention")
    with pytest.raises(TrainingError, match=r"block 'up\.0'.* block\.0, block\.1"):
        train(encoded, toy, tmp_path, block_rates={"up.0": 0.5})
    with pytest.raises(ModelError, match="no min_snr_gamma"):
        train(encoded, toy, tmp_path, min_snr_gamma=5.0)
    drawing = sampler(toy, scheduler="ddim")
    with (
        SilentProgress().task("samples", None) as advance,
        pytest.raises(StyleFileError, match="no sampler 'ddim'"),
    ):
        drawing.draw(drawing.pairs, workspace, advance)


def test_a_dataset_of_another_family_is_refused(
    encoded: EncodedDataset, starter: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="4 channels, but the encoded dataset has 3"):
        train(encoded, starter / "stable-diffusion", tmp_path)
