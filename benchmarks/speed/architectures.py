"""Configurations of the bases that people train, without their weights.

Sizes are those of the published bases; a small scale has fewer and narrower blocks, for a CPU.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Small = bool
"""Whether a configuration is of the small scale."""


def write_architecture(name: str, folder: Path, *, small: bool) -> Path:
    """Write the configurations of a base, and return the folder.

    Args:
        name: One of :data:`ARCHITECTURES`.
        folder: Made.
        small: Whether it is scaled down for a CPU.
    """
    for path, config in ARCHITECTURES[name](small).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return folder


def _index(pipeline: str, **parts: str) -> dict[str, Any]:
    return {"_class_name": pipeline, **{name: ["", kind] for name, kind in parts.items()}}


def _autoencoder(kind: str = "AutoencoderKL", **settings: Any) -> dict[str, Any]:
    return {
        "_class_name": kind,
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        **settings,
    }


def _clip(width: int, layers: int, projected: int) -> dict[str, Any]:
    return {
        "model_type": "clip_text_model",
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "projection_dim": projected,
        "vocab_size": 49408,
        "max_position_embeddings": 77,
    }


def _qwen(small: Small) -> dict[str, Any]:
    return {
        "model_type": "qwen3",
        "hidden_size": 64 if small else 2560,
        "intermediate_size": 128 if small else 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 2 if small else 32,
        "num_key_value_heads": 1 if small else 8,
        "head_dim": 32 if small else 128,
        "vocab_size": 151936,
    }


_FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
_DIFFUSION = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
}


def _sd15(small: Small) -> dict[str, Any]:
    return {
        "model_index.json": _index(
            "StableDiffusionPipeline",
            unet="UNet2DConditionModel",
            vae="AutoencoderKL",
            text_encoder="CLIPTextModel",
            tokenizer="CLIPTokenizer",
        ),
        "scheduler/scheduler_config.json": _DIFFUSION,
        "vae/config.json": _autoencoder(latent_channels=4, scaling_factor=0.18215),
        "text_encoder/config.json": _clip(768, 12, 768),
        "unet/config.json": {
            "_class_name": "UNet2DConditionModel",
            "sample_size": 64,
            "block_out_channels": [64, 128, 128, 128] if small else [320, 640, 1280, 1280],
            "layers_per_block": 1 if small else 2,
            "attention_head_dim": 8,
            "cross_attention_dim": 768,
        },
    }


def _sdxl(small: Small) -> dict[str, Any]:
    return {
        "model_index.json": _index(
            "StableDiffusionXLPipeline",
            unet="UNet2DConditionModel",
            vae="AutoencoderKL",
            text_encoder="CLIPTextModel",
            text_encoder_2="CLIPTextModelWithProjection",
            tokenizer="CLIPTokenizer",
            tokenizer_2="CLIPTokenizer",
        ),
        "scheduler/scheduler_config.json": _DIFFUSION,
        "vae/config.json": _autoencoder(latent_channels=4, scaling_factor=0.13025),
        "text_encoder/config.json": _clip(768, 12, 768),
        "text_encoder_2/config.json": _clip(1280, 32, 1280),
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


def _sd35_medium(small: Small) -> dict[str, Any]:
    layers, heads = (4, 4) if small else (24, 24)
    return {
        "model_index.json": _index(
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
        "scheduler/scheduler_config.json": {**_FLOW, "shift": 3.0},
        "vae/config.json": _autoencoder(
            latent_channels=16,
            scaling_factor=1.5305,
            shift_factor=0.0609,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        "text_encoder/config.json": _clip(768, 12, 768),
        "text_encoder_2/config.json": _clip(1280, 32, 1280),
        "text_encoder_3/config.json": {
            "model_type": "t5",
            "d_model": 4096,
            "d_kv": 64,
            "d_ff": 10240,
            "num_layers": 24,
            "num_heads": 64,
            "feed_forward_proj": "gated-gelu",
            "vocab_size": 32128,
        },
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


def _flux2_klein(small: Small) -> dict[str, Any]:
    text = _qwen(small)
    return {
        "model_index.json": {
            **_index(
                "Flux2KleinPipeline",
                transformer="Flux2Transformer2DModel",
                vae="AutoencoderKLFlux2",
                text_encoder="Qwen3ForCausalLM",
                tokenizer="Qwen2TokenizerFast",
            ),
            "is_distilled": False,
        },
        "scheduler/scheduler_config.json": {**_FLOW, "shift": 3.0, "use_dynamic_shifting": True},
        "vae/config.json": _autoencoder("AutoencoderKLFlux2", latent_channels=32),
        "text_encoder/config.json": text,
        "transformer/config.json": {
            "_class_name": "Flux2Transformer2DModel",
            "in_channels": 128,
            "num_layers": 2 if small else 5,
            "num_single_layers": 4 if small else 20,
            "attention_head_dim": 128,
            "num_attention_heads": 2 if small else 24,
            "joint_attention_dim": 3 * text["hidden_size"],
            "guidance_embeds": False,
        },
    }


def _z_image(small: Small) -> dict[str, Any]:
    text = _qwen(small)
    return {
        "model_index.json": _index(
            "ZImagePipeline",
            transformer="ZImageTransformer2DModel",
            vae="AutoencoderKL",
            text_encoder="Qwen3Model",
            tokenizer="Qwen2Tokenizer",
        ),
        "scheduler/scheduler_config.json": {**_FLOW, "shift": 6.0},
        "vae/config.json": _autoencoder(
            latent_channels=16,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        "text_encoder/config.json": text,
        "transformer/config.json": {
            "_class_name": "ZImageTransformer2DModel",
            "all_patch_size": [2],
            "all_f_patch_size": [1],
            "in_channels": 16,
            "dim": 256 if small else 3840,
            "n_layers": 4 if small else 30,
            "n_refiner_layers": 1 if small else 2,
            "n_heads": 2 if small else 30,
            "n_kv_heads": 2 if small else 30,
            "axes_dims": [32, 48, 48],
            "axes_lens": [1024, 512, 512],
            "cap_feat_dim": text["hidden_size"],
        },
    }


def _sana(small: Small) -> dict[str, Any]:
    blocks = 3
    heads, cross_heads = (8, 2) if small else (70, 20)
    return {
        "model_index.json": _index(
            "SanaPipeline",
            transformer="SanaTransformer2DModel",
            vae="AutoencoderDC",
            text_encoder="Gemma2Model",
            tokenizer="GemmaTokenizerFast",
            scheduler="DPMSolverMultistepScheduler",
        ),
        "scheduler/scheduler_config.json": {
            "_class_name": "DPMSolverMultistepScheduler",
            "prediction_type": "flow_prediction",
            "use_flow_sigmas": True,
            "flow_shift": 3.0,
            "num_train_timesteps": 1000,
        },
        "vae/config.json": {
            "_class_name": "AutoencoderDC",
            "latent_channels": 32,
            "encoder_block_types": ["ResBlock"] * blocks + ["EfficientViTBlock"] * blocks,
            "decoder_block_types": ["ResBlock"] * blocks + ["EfficientViTBlock"] * blocks,
            "encoder_block_out_channels": [128, 256, 512, 512, 1024, 1024],
            "downsample_block_type": "Conv",
            "upsample_block_type": "interpolate",
            "scaling_factor": 0.41407,
        },
        "text_encoder/config.json": {
            "model_type": "gemma2",
            "hidden_size": 2304,
            "intermediate_size": 9216,
            "num_hidden_layers": 26,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "vocab_size": 256000,
        },
        "transformer/config.json": {
            "_class_name": "SanaTransformer2DModel",
            "in_channels": 32,
            "out_channels": 32,
            "num_layers": 4 if small else 20,
            "num_attention_heads": heads,
            "attention_head_dim": 32,
            "num_cross_attention_heads": cross_heads,
            "cross_attention_head_dim": 32 * heads // cross_heads,
            "cross_attention_dim": 32 * heads,
            "caption_channels": 2304,
            "mlp_ratio": 2.5,
            "sample_size": 32,
            "patch_size": 1,
        },
    }


ARCHITECTURES: Mapping[str, Callable[[Small], dict[str, Any]]] = {
    "sd15": _sd15,
    "sdxl": _sdxl,
    "sd35-medium": _sd35_medium,
    "flux2-klein": _flux2_klein,
    "z-image": _z_image,
    "sana": _sana,
}
"""Files of each base by path, by the base's name in ``styledag new``."""
