"""Train the starter's autoencoder: on every drawing, whole or flattened, and never on Twemoji."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tools.starter.loop import Loop, LoopSettings, psnr_db
from tools.starter.pixels import flattened, moved, parts_of, recoloured
from tools.starter.stable_diffusion import build_vae
from tools.starter.weights import quieten_branches

KL_WEIGHT = 1e-6
ABSOLUTE_WEIGHT = 0.2
CROP_PX = 32

SETTINGS = LoopSettings(
    name="autoencoder", steps=5000, learning_rate=1.5e-3, decay_steps=1600, ema_decay=0.998
)


def train_autoencoder(
    pixels: Tensor, held_out: Tensor, folder: Path, *, settings: LoopSettings, device: torch.device
) -> Any:
    """Return an autoencoder that was trained on images.

    Args:
        pixels: Drawings, uint8. # BCHW
        held_out: Drawings to measure on, uint8. # BCHW
        folder: Where state and log go.
        settings: Length and rates.
        device: Where to train.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        vae: Any = build_vae().to(device)
    quieten_branches(vae)
    loop = Loop(vae, settings, folder, device)
    loop.run(
        lambda generator: autoencoder_loss(vae, pixels, generator, device=device),
        report=_psnr_of(vae, held_out, device),
    )
    loop.adopt_averages()
    return vae


def autoencoder_loss(
    vae: Any,
    pixels: Tensor,
    generator: torch.Generator,
    *,
    device: torch.device,
    batch_size: int = 16,
) -> Tensor:
    """Return squared and absolute error and the latents' divergence, on a random batch.

    Args:
        vae: An ``AutoencoderKL``.
        pixels: Drawings, uint8. # BCHW
        generator: Decides which, and how they are changed.
        device: Where the model is.
        batch_size: Images in the batch.
    """
    at = torch.randint(0, len(pixels), (batch_size,), generator=generator)
    batch = pixels[at].to(device).float() / 255
    half = batch_size // 2
    batch[half:] = moved(batch[half:], generator, flip=0.5)
    batch = recoloured(batch, generator, strength=0.12)
    batch = flattened(batch, generator, share=0.4)
    if float(torch.rand((), generator=generator)) < 0.75:
        room = int(batch.shape[-1]) - CROP_PX + 1
        top, left = torch.randint(0, room, (2,), generator=generator).tolist()
        batch = batch[..., top : top + CROP_PX, left : left + CROP_PX]
    target = 2 * batch - 1
    posterior = vae.encode(target).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
    decoded = vae.decode(posterior.mean + posterior.std * noise).sample.float()
    kl = posterior.kl().mean()
    error = functional.mse_loss(decoded, target) + ABSOLUTE_WEIGHT * functional.l1_loss(
        decoded, target
    )
    loss: Tensor = error + KL_WEIGHT * kl
    return loss


def reconstructed(vae: Any, pixels: Tensor, device: torch.device) -> Tensor:
    """Return what the autoencoder makes of images, between 0 and 1; BCHW."""
    made = []
    with torch.no_grad():
        for part in parts_of(pixels, 50):
            latents = vae.encode(part.to(device).float() / 127.5 - 1).latent_dist.mean
            made.append((vae.decode(latents).sample.float() / 2 + 0.5).clamp(0, 1).cpu())
    return torch.cat(made)


def reconstruction_psnr_db(vae: Any, pixels: Tensor, device: torch.device) -> float:
    """Return the mean over images of their reconstruction's PSNR, in dB."""
    errors = (reconstructed(vae, pixels, device) - pixels.float() / 255).square()
    each = [psnr_db(max(float(error), 1e-10)) for error in errors.mean(dim=(1, 2, 3))]
    return sum(each) / len(each)


def _psnr_of(vae: Any, held_out: Tensor, device: torch.device) -> Callable[[], dict[str, float]]:
    return lambda: {"psnr_db": reconstruction_psnr_db(vae, held_out, device)}
