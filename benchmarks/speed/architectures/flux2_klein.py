"""FLUX.2-klein-base-4B."""

from typing import Any

from benchmarks.speed.architectures.parts import FLOW, Architecture, Small, autoencoder, index, qwen


def _files(small: Small) -> dict[str, Any]:
    text = qwen(small)
    return {
        "model_index.json": {
            **index(
                "Flux2KleinPipeline",
                transformer="Flux2Transformer2DModel",
                vae="AutoencoderKLFlux2",
                text_encoder="Qwen3ForCausalLM",
                tokenizer="Qwen2TokenizerFast",
            ),
            "is_distilled": False,
        },
        "scheduler/scheduler_config.json": {**FLOW, "shift": 3.0, "use_dynamic_shifting": True},
        "vae/config.json": autoencoder("AutoencoderKLFlux2", latent_channels=32),
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


ARCHITECTURE = Architecture(title="FLUX.2-klein-base-4B", billions=3.88, goal=3.0, files=_files)
