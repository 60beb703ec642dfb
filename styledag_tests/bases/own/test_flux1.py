"""What is FLUX.1's own; what it shares with all families is in test_families.py."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import diffusers
import pytest
import torch

from benchmarks.speed.architectures import write_architecture
from styledag.bases.conditioning import Conditioning
from styledag.bases.find import find_base
from styledag.bases.flux1 import GUIDANCE
from styledag.bases.texts.clip_pair import POOLED
from styledag.errors import ModelError
from styledag.models.single_file.denoiser import check_denoiser
from styledag.publishing.single_file.transformer import Transformer
from styledag.randomness import generator_for
from styledag.sampling.weights import Weights
from styledag.scoring.denoising_loss import TIMESTEPS
from styledag.store.workspace import Workspace
from styledag.tensors.reader import TensorReader, TensorSpec
from styledag_tests.bases.families.flux1 import FAMILY
from styledag_tests.bases.tiny_parts import change
from styledag_tests.scoring.loss_cases import losses_of, noised


@pytest.fixture
def flux(starter: Path, tmp_path: Path) -> Path:
    return FAMILY.write(tmp_path / "flux", starter / "stable-diffusion" / "tokenizer")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configurations of FLUX.1-dev, in its real size."""
    folder = tmp_path_factory.mktemp("flux1-dev")
    return write_architecture("flux1-dev", folder, small=False)


def predicted(folder: Path, conditioning: Conditioning) -> torch.Tensor:
    base = find_base(folder)
    latents = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return base.predict(base.denoiser(), latents, torch.tensor([500]), conditioning)


def test_images_are_trained_on_at_1_and_drawn_at_the_pipelines_guidance(flux: Path) -> None:
    given = find_base(flux).text_encoder().encode(["a cat"])
    size = {"original_px": (64, 64), "crop_px": (0, 0), "size_px": (64, 64)}
    (stated,) = find_base(flux).image_conditioning(**size).items()
    assert stated == (GUIDANCE, (1,))

    def at(guidance: float) -> torch.Tensor:
        return predicted(
            flux, Conditioning({**given.tensors, GUIDANCE: torch.tensor([[guidance]])})
        )

    assert torch.equal(predicted(flux, given), at(3.5))
    assert not torch.allclose(at(1), at(3.5), atol=1e-3)


def test_a_denoising_loss_is_that_of_training(flux: Path, workspace: Workspace) -> None:
    image = noised(1, (4, 8, 8), "a cat")
    losses = losses_of(flux, workspace)
    found = losses.of(Weights.stored("own", flux / "transformer"), [image])
    given = find_base(flux).text_encoder().encode(["a cat"]).tensors
    objective = find_base(flux).objective()
    timesteps = objective.timesteps([0.5 / TIMESTEPS], (4, 8, 8))
    noise = torch.randn((1, 4, 8, 8), generator=generator_for("scores", image.sha256, 0))
    noisy = objective.noisy(image.latents()[None], noise, timesteps)
    as_trained = Conditioning({**given, GUIDANCE: torch.ones(1, 1)})
    with torch.no_grad():
        error = FAMILY.predict(FAMILY.load(flux), noisy, timesteps, as_trained)
    error -= noise - image.latents()
    assert found[0, 0] == pytest.approx(float(error.square().mean()), rel=1e-4)


def test_the_clip_reads_the_start_of_a_text_and_t5_512_tokens(flux: Path) -> None:
    base = find_base(flux)
    words = " ".join(["a cat"] * 80)
    assert 77 < base.tokens.count(words) <= base.tokens.limit == 512
    expected = FAMILY.states(FAMILY.load(flux), [words])
    ours = base.text_encoder().encode([words])
    for name, states in expected.items():
        torch.testing.assert_close(ours[name], states)
    assert ours[POOLED].shape == (1, 24)


def test_noise_levels_are_the_pipelines_at_its_own_size(published: Path) -> None:
    """As ``calculate_shift`` has them for 4096 tokens."""
    base = find_base(published)
    assert base.size_px == (1024, 1024)
    shape = base.latents.shape(width_px=1024, height_px=1024)
    assert shape == (16, 128, 128)
    sigmas = torch.linspace(1, 1 / 4, 4, dtype=torch.float64)
    shift = torch.tensor(1.15, dtype=torch.float64).exp()
    expected = 1000 * shift / (shift + 1 / sigmas - 1)
    found = base.sampler("euler", 4, shape).timesteps
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_one_that_reads_no_guidance_is_given_none(flux: Path) -> None:
    """As FLUX.1-schnell, of which doctor remarks by its name that it is distilled."""
    change(flux / "transformer" / "config.json", guidance_embeds=False)
    config = json.loads((flux / "transformer" / "config.json").read_text())
    diffusers.FluxTransformer2DModel.from_config(config).save_pretrained(flux / "transformer")
    base = find_base(flux)
    size = {"original_px": (64, 64), "crop_px": (0, 0), "size_px": (64, 64)}
    assert base.image_conditioning(**size) == {}
    given = base.text_encoder().encode(["a cat"])
    assert predicted(flux, given).shape == (1, 4, 8, 12)


@pytest.mark.parametrize(
    "pipeline", ["FluxFillPipeline", "FluxControlPipeline", "FluxKontextPipeline"]
)
def test_its_variants_are_refused_by_name(flux: Path, pipeline: str) -> None:
    change(flux / "model_index.json", _class_name=pipeline)
    with pytest.raises(ModelError, match=f"is a {pipeline}.*FLUX.1: FluxPipeline"):
        find_base(flux)


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ({"in_channels": 384, "out_channels": 64}, "reads 384 channels and returns 64"),
        ({"in_channels": 32}, "reads 32 channels, but the autoencoder's latents.*16"),
    ],
    ids=["Fill", "twice"],
)
def test_one_that_reads_further_channels_is_refused(
    flux: Path, stated: dict[str, int], why: str
) -> None:
    """Whatever its pipeline is called, and as a file may have replaced it."""
    change(flux / "transformer" / "config.json", **stated)
    with pytest.raises(ModelError, match=why):
        find_base(flux).denoiser(device="meta")


def write_header(path: Path, shapes: dict[str, list[int]]) -> None:
    """Write a file of bfloat16 tensors that takes no room on the disk."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + end)


def test_the_published_file_is_written_and_read(published: Path, tmp_path: Path) -> None:
    """diffusers' converter knows the real width alone, so that tiny weights have no file."""
    base = find_base(published)
    model = base.denoiser(device="meta")
    specs = {
        name: TensorSpec(name, torch.bfloat16, tuple(each.shape))
        for name, each in model.state_dict().items()
    }
    names = base.elsewhere.tensors
    assert names is not None
    reader = cast(TensorReader, SimpleNamespace(specs=specs))
    found = Transformer(base.config, reader, names)  # type: ignore[attr-defined]
    shapes = {each.name: list(each.shape) for each in found.tensors()}
    assert len(shapes) == 780  # as flux1-dev.safetensors has
    assert shapes["single_blocks.37.linear1.weight"] == [21504, 3072]
    assert shapes["double_blocks.18.img_attn.qkv.weight"] == [9216, 3072]
    assert shapes["double_blocks.0.txt_attn.norm.key_norm.scale"] == [128]
    assert shapes["guidance_in.in_layer.weight"] == [3072, 256]
    assert found.technical()["modelspec.architecture"] == "Flux.1-dev"

    path = tmp_path / "flux1-dev.safetensors"
    write_header(path, shapes)
    check_denoiser(path, published / "transformer")
    del shapes["guidance_in.in_layer.weight"]
    write_header(path, shapes)
    with pytest.raises(ModelError, match=r"guidance_in\.in_layer\.weight"):
        check_denoiser(path, published / "transformer")
