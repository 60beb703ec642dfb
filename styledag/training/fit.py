"""Whether a base's UNet can read an encoded dataset at all."""

from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import ModelError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from styledag.training.encoding.dataset import EncodedDataset


def check_fit(unet: "UNet2DConditionModel", encoded: "EncodedDataset", base: Path) -> None:
    """Check the UNet's configuration against the shapes of latents and text states.

    Raises:
        ModelError: If they differ, or the UNet wants more than latents, timestep and caption.
    """
    config = unet.config
    where = f"the UNet of {base}"
    if config.in_channels != encoded.latent_channels:
        raise ModelError(
            f"{where} reads latents of {config.in_channels} channels, but the encoded dataset has "
            f"{encoded.latent_channels}: encode with this base, and take no inpainting model"
        )
    if config.in_channels != config.out_channels:
        raise ModelError(
            f"{where} reads {config.in_channels} channels and gives {config.out_channels}: "
            "take a base that gives as many as it reads"
        )
    width = config.cross_attention_dim
    widths = {width} if isinstance(width, int) else set(width)
    if widths != {encoded.text_width}:
        raise ModelError(
            f"{where} reads text states {sorted(widths)} wide, but the encoded dataset's are "
            f"{encoded.text_width} wide: encode with this base's own text encoder"
        )
    for name in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type"):
        if config.get(name) is not None:
            raise ModelError(
                f"{where} has {name} {config[name]!r}, so it needs more than latents, timestep "
                "and caption: take a base of the Stable Diffusion 1.x or 2.x kind"
            )
