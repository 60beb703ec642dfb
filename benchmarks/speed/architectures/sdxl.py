"""Stable Diffusion XL."""

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
            "StableDiffusionXLPipeline",
            unet="UNet2DConditionModel",
            vae="AutoencoderKL",
            text_encoder="CLIPTextModel",
            text_encoder_2="CLIPTextModelWithProjection",
            tokenizer="CLIPTokenizer",
            tokenizer_2="CLIPTokenizer",
        ),
        "scheduler/scheduler_config.json": DIFFUSION,
        "vae/config.json": autoencoder(latent_channels=4, scaling_factor=0.13025),
        "text_encoder/config.json": clip(768, 12, 768),
        "text_encoder_2/config.json": clip(1280, 32, 1280),
        "unet/config.json": {
            "_class_name": "UNet2DConditionModel",
            "sample_size": 128,
            "block_out_channels": [64, 128, 128] if small else [320, 640, 1280],
            "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 2],
            "up_block_types": [*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"],
            "layers_per_block": 1 if small else 2,
            "attention_head_dim": [5, 10, 20] if not small else [1, 2, 2],
            "transformer_layers_per_block": [1, 2, 2] if small else [1, 2, 10],
            "use_linear_projection": True,
            "cross_attention_dim": 2048,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
    }


ARCHITECTURE = Architecture(title="Stable Diffusion XL", billions=2.57, goal=20.0, files=_files)
