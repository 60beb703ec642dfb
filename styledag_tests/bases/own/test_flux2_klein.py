"""What is FLUX.2 klein's own; what it shares with all families is in test_families.py."""

from pathlib import Path

import pytest
import torch

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag_tests.bases.families.flux2_klein import CHANNELS, FAMILY
from styledag_tests.bases.tiny_parts import change


@pytest.fixture
def klein(tmp_path: Path) -> Path:
    return FAMILY.write(tmp_path / "klein", tmp_path)


def test_encoded_images_are_the_pipelines_latents(klein: Path) -> None:
    pipeline = FAMILY.load(klein)
    pixels = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = pipeline._encode_vae_image(pixels, torch.Generator())
        moments = find_base(klein).autoencoder().encode(pixels)
        variance = pipeline.vae.encode(pixels).latent_dist.var
    assert expected.shape[1] == 4 * CHANNELS
    torch.testing.assert_close(moments.mean, expected)
    scale = (pipeline.vae.bn.running_var + pipeline.vae.config.batch_norm_eps)[None, :, None, None]
    torch.testing.assert_close(
        moments.logvar.exp(), pipeline._patchify_latents(variance) / scale, rtol=1e-4, atol=0
    )


def test_a_distilled_one_is_refused(klein: Path) -> None:
    change(klein / "model_index.json", is_distilled=True)
    with pytest.raises(ModelError, match=r"is distilled .* FLUX.2-klein-base-4B"):
        find_base(klein).objective()


def test_one_that_reads_a_guidance_scale_is_refused(klein: Path) -> None:
    change(klein / "transformer" / "config.json", guidance_embeds=True)
    with pytest.raises(ModelError, match="reads a guidance scale"):
        find_base(klein).denoiser(device="meta")
