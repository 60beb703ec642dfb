"""Z-Image."""

from typing import Any

from benchmarks.speed.architectures.parts import FLOW, Architecture, Small, autoencoder, index, qwen


def _files(small: Small) -> dict[str, Any]:
    text = qwen(small)
    return {
        "model_index.json": index(
            "ZImagePipeline",
            transformer="ZImageTransformer2DModel",
            vae="AutoencoderKL",
            text_encoder="Qwen3Model",
            tokenizer="Qwen2Tokenizer",
        ),
        "scheduler/scheduler_config.json": {**FLOW, "shift": 6.0},
        "vae/config.json": autoencoder(
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


ARCHITECTURE = Architecture(title="Z-Image", billions=6.15, goal=2.1, files=_files)
