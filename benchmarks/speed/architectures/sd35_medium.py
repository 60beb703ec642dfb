"""Stable Diffusion 3.5 Medium."""

from typing import Any

from benchmarks.speed.architectures.parts import (
    FLOW,
    T5,
    Architecture,
    Small,
    autoencoder,
    clip,
    index,
)


def _files(small: Small) -> dict[str, Any]:
    layers, heads = (4, 4) if small else (24, 24)
    return {
        "model_index.json": index(
            "StableDiffusion3Pipeline",
            transformer="SD3Transformer2DModel",
            vae="AutoencoderKL",
            text_encoder="CLIPTextModelWithProjection",
            text_encoder_2="CLIPTextModelWithProjection",
            text_encoder_3="T5EncoderModel",
            tokenizer="CLIPTokenizer",
            tokenizer_2="CLIPTokenizer",
            tokenizer_3="T5TokenizerFast",
        ),
        "scheduler/scheduler_config.json": {**FLOW, "shift": 3.0},
        "vae/config.json": autoencoder(
            latent_channels=16,
            scaling_factor=1.5305,
            shift_factor=0.0609,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        "text_encoder/config.json": clip(768, 12, 768),
        "text_encoder_2/config.json": clip(1280, 32, 1280),
        "text_encoder_3/config.json": T5,
        "transformer/config.json": {
            "_class_name": "SD3Transformer2DModel",
            "sample_size": 128,
            "patch_size": 2,
            "in_channels": 16,
            "out_channels": 16,
            "num_layers": layers,
            "attention_head_dim": 64,
            "num_attention_heads": heads,
            "joint_attention_dim": 4096,
            "caption_projection_dim": 64 * heads,
            "pooled_projection_dim": 2048,
            "pos_embed_max_size": 384,
            "dual_attention_layers": list(range(layers // 2 + 1)),
            "qk_norm": "rms_norm",
        },
    }


ARCHITECTURE = Architecture(
    title="Stable Diffusion 3.5 Medium", billions=2.24, goal=5.4, files=_files
)
