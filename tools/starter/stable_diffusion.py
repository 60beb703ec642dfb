"""The starter's Stable Diffusion: the real classes, at 64 px and a fraction of the width."""

from pathlib import Path
from typing import TYPE_CHECKING

from tools.starter.clip import SIZE_PX, TEXT_WIDTH
from tools.starter.weights import forget_path, name_float32

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

LATENT_CHANNELS = 4
LATENT_SIZE = 16
"""Side of the latents of an image of :data:`~tools.starter.clip.SIZE_PX`."""
SCALING_FACTOR = 0.96
"""Brings the random autoencoder's latents to unit variance, as measured on random images."""


def build_vae() -> "AutoencoderKL":
    """Return an autoencoder with random weights: 64x64x3 pixels to 16x16x4 latents."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        sample_size=SIZE_PX,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
        scaling_factor=SCALING_FACTOR,
    ).eval()


def build_unet() -> "UNet2DConditionModel":
    """Return a UNet with random weights: cross-attention on the lower two of its three levels."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,
        cross_attention_dim=TEXT_WIDTH,
    ).eval()


def build_scheduler() -> "DDIMScheduler":
    """Return Stable Diffusion's noise schedule: 1,000 steps, scaled-linear, epsilon prediction."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def save_pipeline(
    unet: "UNet2DConditionModel",
    vae: "AutoencoderKL",
    text_encoder: "CLIPTextModel",
    tokenizer: "CLIPTokenizer",
    folder: Path,
) -> None:
    """Write models as a folder that ``StableDiffusionPipeline.from_pretrained`` reads.

    Their weights are stored as float16, and the models themselves become float16.
    """
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=text_encoder.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    for part in ("unet", "vae"):
        forget_path(folder / part / "config.json")
    name_float32(folder / "text_encoder" / "config.json")
