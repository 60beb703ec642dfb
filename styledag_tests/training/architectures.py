"""Configurations of large bases, without their weights."""

from pathlib import Path

import torch

from styledag_tests.bases.loading import write_index


def write_stable_diffusion_15(folder: Path) -> Path:
    """Write the configurations of Stable Diffusion 1.5, and return the folder."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig

    write_index(folder)
    with torch.device("meta"):
        UNet2DConditionModel(sample_size=64, cross_attention_dim=768).save_config(folder / "unet")
        AutoencoderKL(
            sample_size=512,
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        ).save_config(folder / "vae")
    CLIPTextConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        vocab_size=49408,
    ).save_pretrained(folder / "text_encoder")
    return folder
