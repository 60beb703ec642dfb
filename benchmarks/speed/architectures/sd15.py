"""Stable Diffusion 1.5."""

from typing import Any

from benchmarks.speed.architectures.parts import (
    DIFFUSION,
    Architecture,
    Small,
    autoencoder,
    clip,
    index,
)


def _files(small: Small) -> dict[str, Any]:
    return {
        "model_index.json": index(
            "StableDiffusionPipeline",
            unet="UNet2DConditionModel",
            vae="AutoencoderKL",
            text_encoder="CLIPTextModel",
            tokenizer="CLIPTokenizer",
        ),
        "scheduler/scheduler_config.json": DIFFUSION,
        "vae/config.json": autoencoder(latent_channels=4, scaling_factor=0.18215),
        "text_encoder/config.json": clip(768, 12, 768),
        "unet/config.json": {
            "_class_name": "UNet2DConditionModel",
            "sample_size": 64,
            "block_out_channels": [64, 128, 128, 128] if small else [320, 640, 1280, 1280],
            "layers_per_block": 1 if small else 2,
            "attention_head_dim": 8,
            "cross_attention_dim": 768,
        },
    }


ARCHITECTURE = Architecture(title="Stable Diffusion 1.5", billions=0.86, goal=160.0, files=_files)
