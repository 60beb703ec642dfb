"""Standardised latents decode to the same images."""

import torch

from tools.starter.stable_diffusion import build_vae
from tools.starter.whiten import standardise_latents


def test_latents_are_standardised_and_images_stay_the_same() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = build_vae()
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (12, 3, 64, 64), generator=generator, dtype=torch.uint8)
    shown = pixels.float() / 127.5 - 1
    with torch.no_grad():
        before = vae.decode(vae.encode(shown).latent_dist.mean).sample
        standardise_latents(vae, pixels)
        posterior = vae.encode(shown).latent_dist
        after = vae.decode(posterior.mean).sample
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    scaled = posterior.mean * vae.config.scaling_factor
    channels = scaled.transpose(0, 1).flatten(1)
    torch.testing.assert_close(channels.mean(dim=1), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(channels.std(dim=1), torch.ones(4), atol=1e-3, rtol=0)
