"""What is Stable Diffusion XL's own; what it shares with all families is in test_families.py."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from styledag.bases.clip import STATES
from styledag.bases.clip_pair import POOLED
from styledag.bases.find import find_base
from styledag.bases.latents import LatentScale
from styledag.errors import ModelError
from styledag_tests.bases.families.stable_diffusion_xl import FAMILY
from styledag_tests.bases.tiny_parts import change


@pytest.fixture(scope="module")
def xl(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xl") / "base"
    return FAMILY.write(folder, starter / "stable-diffusion" / "tokenizer")


@pytest.fixture
def copy(xl: Path, tmp_path: Path) -> Path:
    return shutil.copytree(xl, tmp_path / "copy")


def test_the_empty_text_is_zeros_where_the_base_says_so(xl: Path, copy: Path) -> None:
    _, negative, _, negative_pooled = FAMILY.load(xl).encode_prompt("a cat", device="cpu")
    both = find_base(xl).text_encoder().encode(["a cat", ""])
    for name, expected in ((STATES, negative), (POOLED, negative_pooled)):
        assert not expected.any()
        assert torch.equal(both[name][1:], expected)
        assert both[name][0].any()
    change(copy / "model_index.json", force_zeros_for_empty_prompt=False)
    _, negative, _, negative_pooled = FAMILY.load(copy).encode_prompt("a cat", device="cpu")
    empty = find_base(copy).text_encoder().encode([""])
    assert negative.any()
    torch.testing.assert_close(empty[STATES], negative)
    torch.testing.assert_close(empty[POOLED], negative_pooled)


def test_the_shorter_limit_and_the_longer_count_are_its_own(copy: Path) -> None:
    assert find_base(copy).tokens.limit == 77
    assert find_base(copy).tokens.count("a cat") >= 4
    change(copy / "tokenizer_2" / "tokenizer_config.json", model_max_length=9)
    assert find_base(copy).tokens.limit == 9


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


def test_size_and_scale_are_stated_by_the_configurations(xl: Path) -> None:
    base = find_base(xl)
    assert base.size_px == (16, 16)
    assert base.latents.scale == LatentScale(0.13025)
