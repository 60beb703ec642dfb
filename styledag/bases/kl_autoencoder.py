"""diffusers' autoencoders: ``AutoencoderKL``, which most families have, and those like it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.latents import LatentScale, LatentSpace, Moments
from styledag.bases.parts import load_diffusers, model_errors
from styledag.models.config import read_config

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_SCALING_FACTOR = 0.18215
"""Stable Diffusion's own, which configurations of its first versions leave out."""


def kl_latents(folder: Path, *, patch: int = 1) -> LatentSpace:
    """Return the latents of an autoencoder.

    Args:
        folder: With its ``config.json``.
        patch: Latents along one side of what the denoiser reads as one.

    Raises:
        ModelError: If its configuration is missing or damaged.
    """
    path = folder / "config.json"
    config = read_config(path)
    with model_errors(path):
        factor = 2 ** (len(config["block_out_channels"]) - 1)
        return LatentSpace(
            channels=int(config.get("latent_channels", 4)),
            factor_px=factor,
            multiple_px=factor * patch,
            scale=LatentScale(
                float(config.get("scaling_factor", _SCALING_FACTOR)),
                float(config.get("shift_factor") or 0.0),
            ),
        )


class KlAutoencoder:
    """An ``AutoencoderKL`` of diffusers'.

    In float32 where float16 is asked for, which overflows in those of Stable Diffusion.

    Raises:
        ModelError: If it is missing, damaged or incomplete.
    """

    kind = "AutoencoderKL"
    """Name of its class in diffusers."""
    decoding: tuple[str, ...] = ("decoder.", "post_quant_conv.")
    """What the names of its decoding parameters start with."""

    def __init__(
        self, folder: Path, *, device: "torch.device | str", dtype: "torch.dtype | None"
    ) -> None:
        import diffusers
        import torch

        safe = torch.float32 if dtype == torch.float16 else dtype
        kind = getattr(diffusers, self.kind)
        self.model: Any = load_diffusers(kind, folder, device=device, dtype=safe)

    @property
    def dtype(self) -> "torch.dtype":
        """Dtype of its weights."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    def encode(self, pixels: "Tensor") -> Moments:
        """Return the posterior moments of images."""
        posterior = self.model.encode(pixels).latent_dist
        return Moments(posterior.mean, posterior.logvar)

    def decode(self, latents: "Tensor") -> "Tensor":
        """Return the images of unscaled latents."""
        pixels: Tensor = self.model.decode(latents.to(self.dtype)).sample.float()
        return pixels
