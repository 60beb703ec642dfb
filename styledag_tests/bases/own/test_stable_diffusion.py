import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTokenizer

from styledag.bases.blocks import is_in
from styledag.bases.find import find_base
from styledag.bases.latents import LatentScale
from styledag.bases.texts.clip import STATES
from styledag.errors import ModelError, StyleFileError
from styledag_tests.bases.loading import load_unet


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base, tmp_path / "copy")


def change(path: Path, **changed: object) -> None:
    """Change a JSON file; a value of ``...`` removes its key."""
    config = json.loads(path.read_text()) | changed
    path.write_text(json.dumps({key: each for key, each in config.items() if each is not ...}))


def test_scale_is_stable_diffusions_where_none_is_stated(copy: Path) -> None:
    assert find_base(copy).latents.scale == LatentScale(0.5)
    change(copy / "vae" / "config.json", scaling_factor=..., shift_factor=None)
    assert find_base(copy).latents.scale == LatentScale(0.18215)
    change(copy / "vae" / "config.json", scaling_factor=1.5, shift_factor=0.25)
    assert find_base(copy).latents.scale == LatentScale(1.5, 0.25)


def test_size_and_shape_are_the_models(base: Path, copy: Path) -> None:
    found = find_base(base)
    assert found.size_px == (16, 16)
    vae = AutoencoderKL.from_pretrained(base / "vae").eval()
    with torch.no_grad():
        mean = vae.encode(torch.zeros(1, 3, 16, 32)).latent_dist.mean
    assert found.latents.shape(width_px=32, height_px=16) == tuple(mean.shape[1:])
    change(copy / "unet" / "config.json", sample_size=[4, 6])
    assert find_base(copy).size_px == (12, 8)


def test_text_states_are_the_pipelines(starter: Path) -> None:
    folder = starter / "stable-diffusion"
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    texts = ["a red apple", "", "größe 🙂 hammer's"]
    expected, negative = pipeline.encode_prompt(texts, "cpu", 1, True, [""] * 3)
    encoder = find_base(folder).text_encoder()
    torch.testing.assert_close(encoder.encode(texts)[STATES], expected)
    torch.testing.assert_close(encoder.encode([""] * 3)[STATES], negative)


def test_padding_is_masked_where_the_text_encoder_says_so(starter: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(starter / "stable-diffusion", tmp_path / "masked")
    plain = find_base(folder).text_encoder().encode(["a cat"])[STATES]
    change(folder / "text_encoder" / "config.json", use_attention_mask=True)
    masked = find_base(folder).text_encoder().encode(["a cat"])[STATES]
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    expected, _ = pipeline.encode_prompt(["a cat"], "cpu", 1, False)
    torch.testing.assert_close(masked, expected)
    assert not torch.allclose(masked, plain, atol=1e-3)


def test_prediction_is_the_unets(base: Path) -> None:
    found, unet = find_base(base), load_unet(base)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    conditioning = found.text_encoder().encode(["a cat", ""])
    timesteps = torch.tensor([7, 500])
    with torch.no_grad():
        ours = found.predict(found.denoiser(), latents, timesteps, conditioning)
        theirs = unet(latents, timesteps, encoder_hidden_states=conditioning[STATES]).sample
    assert torch.equal(ours, theirs)


def test_every_repeated_parameter_lies_in_one_block(base: Path) -> None:
    blocks = find_base(base).blocks
    assert set(blocks) == {"down", "down.0", "down.1", "mid", "up", "up.0", "up.1"}
    smallest = [prefix for block, prefix in blocks.items() if "." in block or block == "mid"]
    for name, _ in load_unet(base).named_parameters():
        inside = sum(is_in(name, prefix) for prefix in smallest)
        assert inside == ("_block" in name.split(".")[0])


def test_a_block_is_told_from_its_like() -> None:
    assert is_in("up_blocks.1.weight", "up_blocks.1")
    assert is_in("mid_block", "mid_block")
    assert not is_in("up_blocks.10.weight", "up_blocks.1")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"in_channels": 9}, "reads 9 channels and returns 4"),
        ({"class_embed_type": "timestep"}, "class_embed_type 'timestep'"),
        ({"num_class_embeds": 10}, "num_class_embeds 10"),
        # Distilled with guidance, as LCM: it computes without, and draws something else.
        ({"time_cond_proj_dim": 8}, "time_cond_proj_dim 8"),
    ],
)
def test_a_unet_that_reads_more_is_refused(
    copy: Path, changed: dict[str, object], said: str
) -> None:
    unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(copy / "unet"))
    config = {key: each for key, each in unet.config.items() if not key.startswith("_")}
    UNet2DConditionModel(**config | changed).save_pretrained(copy / "unet")
    for device in ("cpu", "meta"):
        with pytest.raises(ModelError, match=said):
            find_base(copy).denoiser(device=device)


def test_float16_is_not_for_the_autoencoder(base: Path) -> None:
    found = find_base(base)
    assert found.autoencoder(dtype=torch.float16).dtype == torch.float32
    assert found.autoencoder(dtype=torch.bfloat16).dtype == torch.bfloat16


def test_an_unknown_sampler_is_refused_with_those_that_there_are(base: Path) -> None:
    with pytest.raises(StyleFileError, match=r"no sampler 'plms'.*ddim, dpm\+\+, euler, euler_a"):
        find_base(base).sampler("plms", 4, (4, 8, 8))


@pytest.mark.parametrize(
    "changed",
    [
        {"beta_schedule": "laplace"},
        {"use_karras_sigmas": True, "use_exponential_sigmas": True},
    ],
)
def test_a_scheduler_that_makes_no_sampler_is_named(copy: Path, changed: dict[str, object]) -> None:
    change(copy / "scheduler" / "scheduler_config.json", **changed)
    with pytest.raises(ModelError, match="scheduler cannot be loaded"):
        find_base(copy).sampler("dpm++", 4, (4, 8, 8))


def test_a_size_that_is_not_stated_is_the_pipelines(copy: Path) -> None:
    for stated in (None, ...):
        change(copy / "unet" / "config.json", sample_size=stated)
        assert find_base(copy).size_px == (128, 128)
    change(copy / "unet" / "config.json", cross_attention_dim=...)
    with pytest.raises(ModelError, match=r"unet/config\.json states no cross_attention_dim"):
        find_base(copy).meta_conditioning(1)


def test_a_token_that_the_text_encoder_does_not_embed_is_refused(copy: Path) -> None:
    """As a textual inversion leaves it whose embeddings were saved elsewhere."""
    tokenizer = CLIPTokenizer.from_pretrained(copy / "tokenizer")
    count = len(tokenizer)
    tokenizer.add_tokens(["<my-toy>"])
    tokenizer.save_pretrained(copy / "tokenizer")
    with pytest.raises(ModelError, match=rf"tokens up to id {count}, but .* embeds {count} tokens"):
        find_base(copy).tokens.count("a cat")
    change(copy / "text_encoder" / "config.json", vocab_size=count + 1)
    assert find_base(copy).tokens.count("a <my-toy>") == find_base(copy).tokens.count("a a")


def test_an_unknown_token_limit_is_the_text_encoders(copy: Path) -> None:
    change(copy / "tokenizer" / "tokenizer_config.json", model_max_length=10**30)
    assert find_base(copy).tokens.limit == 77
