"""A base's networks without their weights: shapes that cost neither memory nor time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from styledag.bases.parts import model_errors

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel


def meta_unet(base: Path) -> "UNet2DConditionModel":
    """Return the UNet of a base on the meta device; only its ``config.json`` is read.

    Raises:
        ModelError: If the configuration is missing or damaged.
    """
    from diffusers import UNet2DConditionModel

    unet: UNet2DConditionModel = _on_meta(UNet2DConditionModel, base / "unet")
    return unet


def meta_vae(base: Path) -> "AutoencoderKL":
    """Return the autoencoder of a base on the meta device; see :func:`meta_unet`.

    Raises:
        ModelError: If the configuration is missing or damaged.
    """
    from diffusers import AutoencoderKL

    vae: AutoencoderKL = _on_meta(AutoencoderKL, base / "vae")
    return vae


def _on_meta(kind: Any, folder: Path) -> Any:
    with model_errors(folder):
        config = kind.load_config(folder, local_files_only=True)
        with torch.device("meta"):
            return kind.from_config(config).eval()


def meta_text_encoder(base: Path) -> "CLIPTextModel":
    """Return the text encoder of a base on the meta device; see :func:`meta_unet`.

    Raises:
        ModelError: If the configuration is missing or damaged.
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = base / "text_encoder"
    with model_errors(folder):
        config = CLIPTextConfig.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            text_encoder = CLIPTextModel(config)
    return text_encoder.eval()


def text_width(base: Path) -> int:
    """Return how wide the text states are that the UNet of a base reads.

    Raises:
        ModelError: If the configuration is missing or damaged.
    """
    from diffusers import UNet2DConditionModel

    folder = base / "unet"
    with model_errors(folder):
        config = UNet2DConditionModel.load_config(folder, local_files_only=True)
        return cross_attention_width(config["cross_attention_dim"])


def cross_attention_width(configured: int | Sequence[int]) -> int:
    """Return the width of text states from the UNet's configuration, which may repeat it."""
    return configured if isinstance(configured, int) else configured[0]


def latents_shape(base: Path, *, width_px: int, height_px: int) -> tuple[int, int, int]:
    """Return the shape of an image's latents in a base: channels, height and width.

    Raises:
        ModelError: If the VAE's configuration is missing or damaged.
    """
    from diffusers import AutoencoderKL

    folder = base / "vae"
    with model_errors(folder):
        config = AutoencoderKL.load_config(folder, local_files_only=True)
        factor = 2 ** (len(config["block_out_channels"]) - 1)
        return int(config["latent_channels"]), height_px // factor, width_px // factor
