"""Sana 1.6B."""

from typing import Any

from benchmarks.speed.architectures.parts import Architecture, Small, index


def _files(small: Small) -> dict[str, Any]:
    blocks = 3
    heads, cross_heads = (8, 2) if small else (70, 20)
    return {
        "model_index.json": index(
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


ARCHITECTURE = Architecture(title="Sana 1.6B", billions=1.6, goal=50.0, files=_files)
