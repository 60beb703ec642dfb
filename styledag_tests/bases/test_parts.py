import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from styledag.bases.base import Base
from styledag.bases.find import find_base
from styledag.bases.stable_diffusion import StableDiffusion
from styledag.bases.texts.clip import STATES
from styledag.errors import ModelError

LOADERS: dict[str, Callable[[Base], object]] = {
    "denoiser": lambda base: base.denoiser(),
    "autoencoder": lambda base: base.autoencoder(),
    "text encoder": lambda base: base.text_encoder(),
    "tokenizer": lambda base: base.tokens.limit,
    "objective": lambda base: base.objective(),
    "sampler": lambda base: base.sampler("ddim", 2, (4, 8, 8)),
}
EACH = pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base, tmp_path / "copy")


@EACH
def test_missing_part_is_named(load: Callable[[Base], object], tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(StableDiffusion(tmp_path))
    assert str(tmp_path) in str(caught.value)


@EACH
def test_damaged_configuration_is_named(load: Callable[[Base], object], copy: Path) -> None:
    for path in copy.rglob("*.json"):
        path.write_text("{nothing")
    with pytest.raises(ModelError) as caught:
        load(StableDiffusion(copy))
    assert str(copy) in str(caught.value)


def test_missing_weight_is_refused_and_not_drawn_at_random(copy: Path) -> None:
    path = copy / "unet" / WEIGHTS
    state_dict = load_file(path)
    del state_dict["conv_in.weight"]
    save_file(state_dict, path)
    with pytest.raises(ModelError, match=r"tensor .conv_in\.weight. is missing"):
        find_base(copy).denoiser()


@pytest.mark.parametrize("part", ["denoiser", "autoencoder"])
def test_a_weight_that_is_not_the_models_is_refused(copy: Path, part: str) -> None:
    """As of a distilled UNet whose config.json lost its guidance: diffusers leaves it out."""
    path = copy / {"denoiser": "unet", "autoencoder": "vae"}[part] / WEIGHTS
    save_file({**load_file(path), "time_embedding.cond_proj.weight": torch.zeros(4, 4)}, path)
    with pytest.raises(ModelError, match=r"cond_proj\.weight' is none of its model's"):
        LOADERS[part](find_base(copy))


def test_a_denoiser_that_was_saved_with_a_lora_beside_it_is_refused_with_what_to_do(
    copy: Path,
) -> None:
    peft = pytest.importorskip("peft")
    unet = UNet2DConditionModel.from_pretrained(copy / "unet")
    unet.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q"]))
    unet.save_pretrained(copy / "unet")
    with pytest.raises(ModelError, match=r"to_q\.weight. is missing.*: .*fuse_lora, and save it"):
        find_base(copy).denoiser()


def test_what_a_text_encoder_has_of_a_larger_model_is_left_out(copy: Path) -> None:
    path = copy / "text_encoder" / "model.safetensors"
    without = find_base(copy).text_encoder().encode(["a cat"])[STATES]
    save_file({**load_file(path), "text_projection.weight": torch.zeros(4, 4)}, path)
    assert find_base(copy).text_encoder().encode(["a cat"])[STATES].equal(without)


def test_weight_of_another_shape_is_refused(copy: Path) -> None:
    path = copy / "unet" / WEIGHTS
    state_dict = load_file(path)
    state_dict["conv_in.weight"] = state_dict["conv_in.weight"][:, :3].contiguous()
    save_file(state_dict, path)
    with pytest.raises(ModelError, match=r"conv_in\.weight"):
        find_base(copy).denoiser()


def test_cut_off_weights_are_refused(copy: Path) -> None:
    for path in copy.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:2000])
    for name in ("denoiser", "autoencoder", "text encoder"):
        with pytest.raises(ModelError):
            LOADERS[name](find_base(copy))


def test_on_the_meta_device_no_weights_are_read(copy: Path) -> None:
    for path in copy.rglob("*.safetensors"):
        path.unlink()
    for path in (copy / "tokenizer").iterdir():
        path.unlink()
    base = find_base(copy)
    denoiser = base.denoiser(device="meta")
    assert {each.device.type for each in denoiser.parameters()} == {"meta"}
    assert not denoiser.training
    latents = torch.empty(2, 4, 8, 8, device="meta")
    timesteps = torch.zeros(2, device="meta", dtype=torch.int64)
    assert base.predict(denoiser, latents, timesteps, base.meta_conditioning(2)).shape == (
        latents.shape
    )
    encoded = base.text_encoder(device="meta").encode(["", "a cat"])
    expected = base.meta_conditioning(2)
    assert {name: each.shape for name, each in encoded.tensors.items()} == {
        name: each.shape for name, each in expected.tensors.items()
    }
    pixels = torch.empty(1, 3, 16, 16, device="meta")
    assert base.autoencoder(device="meta").encode(pixels).mean.shape == (1, 4, 8, 8)
