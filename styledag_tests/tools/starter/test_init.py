from pathlib import Path

import pytest
import torch
from PIL import Image

from styledag.store.digest import folder_digest
from tools.starter.init import init_starter


@pytest.fixture(scope="module")
def pipeline(starter: Path):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(starter / "stable-diffusion")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_same_seed_gives_the_same_files_and_leaves_random_state(
    starter: Path, tmp_path: Path
) -> None:
    before = torch.random.get_rng_state()
    init_starter(tmp_path / "same", seed=0)
    init_starter(tmp_path / "other", seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert folder_digest(tmp_path / "same") == folder_digest(starter)
    assert folder_digest(tmp_path / "other") != folder_digest(starter)


def test_card_says_that_weights_are_random(starter: Path) -> None:
    assert "random" in (starter / "README.md").read_text()


def test_pipeline_draws(pipeline) -> None:
    generator = torch.Generator().manual_seed(0)
    image = pipeline("a cat", num_inference_steps=2, generator=generator).images[0]
    assert image.size == (64, 64)


def test_pipeline_computes_in_float32_with_stable_diffusions_schedule(pipeline) -> None:
    from diffusers import DDPMScheduler

    assert {pipeline.unet.dtype, pipeline.vae.dtype, pipeline.text_encoder.dtype} == {torch.float32}
    ours = DDPMScheduler.from_config(pipeline.scheduler.config)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    torch.testing.assert_close(ours.betas, betas)
    assert ours.config.prediction_type == "epsilon"


@torch.no_grad()
def test_random_weights_have_sane_numbers(pipeline) -> None:
    generator = torch.Generator().manual_seed(0)
    pixel_values = torch.rand(4, 3, 64, 64, generator=generator) * 2 - 1
    posterior = pipeline.vae.encode(pixel_values).latent_dist
    latents = posterior.sample(generator) * pipeline.vae.config.scaling_factor
    assert latents.shape == (4, 4, 16, 16)
    assert 0.8 < latents.std() < 1.2
    decoded = pipeline.vae.decode(torch.randn(4, 4, 16, 16, generator=generator)).sample
    assert decoded.shape == (4, 3, 64, 64)
    assert 0.1 < decoded.std() < 2
    ids = pipeline.tokenizer(
        ["a cat", "a dog in a hat"], padding="max_length", return_tensors="pt"
    ).input_ids
    states = pipeline.text_encoder(ids)[0]
    assert states.shape == (2, 77, 128)
    assert (states[0] - states[1]).abs().mean() > 0.01
    noise = pipeline.unet(latents[:2], torch.tensor([1, 999]), states).sample
    assert noise.shape == (2, 4, 16, 16)
    assert 0.1 < noise.std() < 3


@torch.no_grad()
def test_clip_shares_its_text_tower_with_the_pipeline(starter: Path, pipeline) -> None:
    from transformers import CLIPModel, CLIPProcessor

    clip = CLIPModel.from_pretrained(starter / "clip")
    processor = CLIPProcessor.from_pretrained(starter / "clip")
    assert clip.dtype == torch.float32
    theirs = pipeline.text_encoder.state_dict()
    for name, tensor in clip.text_model.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    images = [Image.new("RGB", (100, 50), colour) for colour in ("red", "blue")]
    inputs = processor(text=["red", "a blue"], images=images, padding=True, return_tensors="pt")
    outputs = clip(**inputs)
    assert outputs.image_embeds.shape == outputs.text_embeds.shape == (2, 128)
    assert not torch.allclose(outputs.image_embeds[0], outputs.image_embeds[1], atol=1e-3)


def test_blip_says_something_of_each_image(starter: Path) -> None:
    from transformers import AutoTokenizer, BlipForConditionalGeneration, BlipProcessor

    blip = BlipForConditionalGeneration.from_pretrained(starter / "blip")
    processor = BlipProcessor.from_pretrained(starter / "blip")
    assert AutoTokenizer.from_pretrained(starter / "blip").bos_token == "[DEC]"
    images = [Image.new("RGB", (80, 80), colour) for colour in ("red", "white", "black")]
    inputs = processor(images=images, return_tensors="pt")
    said = processor.batch_decode(
        blip.generate(**inputs, max_new_tokens=10, num_beams=3), skip_special_tokens=True
    )
    assert all(text.strip() for text in said)


def test_files_stay_small(starter: Path) -> None:
    size_bytes = sum(path.stat().st_size for path in starter.rglob("*") if path.is_file())
    assert size_bytes < 40_000_000
