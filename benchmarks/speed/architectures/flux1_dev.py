"""FLUX.1-dev."""

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
    return {
        "model_index.json": index(
            "FluxPipeline",
            transformer="FluxTransformer2DModel",
            vae="AutoencoderKL",
            text_encoder="CLIPTextModel",
            text_encoder_2="T5EncoderModel",
            tokenizer="CLIPTokenizer",
            tokenizer_2="T5TokenizerFast",
        ),
        "scheduler/scheduler_config.json": {**FLOW, "shift": 3.0, "use_dynamic_shifting": True},
        "vae/config.json": autoencoder(
            latent_channels=16,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        "text_encoder/config.json": clip(768, 12, 768),
        "text_encoder_2/config.json": T5,
        "transformer/config.json": {
            "_class_name": "FluxTransformer2DModel",
            "in_channels": 64,
            "num_layers": 2 if small else 19,
            "num_single_layers": 4 if small else 38,
            "attention_head_dim": 128,
            "num_attention_heads": 2 if small else 24,
            "joint_attention_dim": 4096,
            "pooled_projection_dim": 768,
            "guidance_embeds": True,
        },
    }


ARCHITECTURE = Architecture(title="FLUX.1-dev", billions=11.9, goal=1.4, files=_files)
