"""Configurations of Stable Diffusion, for single files, which are weights only.

The architectures are ModelSpec's names, and SwarmUI's of 3.x. CLIP's vocabulary follows from its
merges, which lie beside this file and come from https://github.com/openai/CLIP (MIT, see
``clip_merges.LICENSE``).
"""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from styledag.models.single_file.sd3_configurations import (
    SD3,
    SD35_LARGE,
    SD35_MEDIUM,
    sd3_configurations,
    write_t5_tokenizer,
)
from styledag.store.files import storage_errors

V1, V2, V2_V = "stable-diffusion-v1", "stable-diffusion-v2-512", "stable-diffusion-v2-768-v"
XL = "stable-diffusion-xl-v1-base"
_SD3S = (SD3, SD35_MEDIUM, SD35_LARGE)
ARCHITECTURES = (V1, V2, V2_V, XL, *_SD3S)

_MERGES_FILE = "clip_merges.txt.gz"
_WORDS = 49408

Config = Mapping[str, Any]


def write_configuration(
    architecture: str,
    folder: Path,
    *,
    scheduler: Config = MappingProxyType({}),
    with_t5: bool = False,
) -> None:
    """Write the configurations, tokenizers and scheduler of an architecture in diffusers' layout.

    Args:
        architecture: One of :data:`ARCHITECTURES`.
        folder: Where they go; made if it is not there.
        scheduler: What differs from the architecture's own scheduler.
        with_t5: Whether a Stable Diffusion 3.x has its T5.

    Raises:
        StorageError: If the folder cannot be written.
    """
    is_sd3 = architecture in _SD3S
    files = (
        sd3_configurations(architecture, clips=(_CLIP_L, _OPEN_CLIP_G), with_t5=with_t5)
        if is_sd3
        else _unet_configurations(architecture, scheduler)
    )
    with storage_errors(str(folder)):
        for name, config in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        _write_tokenizer(folder / "tokenizer", open_clip=architecture in (V2, V2_V))
        if architecture == XL or is_sd3:
            _write_tokenizer(folder / "tokenizer_2", open_clip=True)
        if with_t5:
            write_t5_tokenizer(folder / "tokenizer_3")


def _unet_configurations(architecture: str, scheduler: Config) -> dict[str, Config]:
    files = {
        "model_index.json": _INDEX_XL if architecture == XL else _INDEX,
        "unet/config.json": _unet(architecture),
        "vae/config.json": _vae(architecture),
        "text_encoder/config.json": _CLIP_L if architecture in (V1, XL) else _OPEN_CLIP_H,
        "scheduler/scheduler_config.json": {**_scheduler(architecture), **scheduler},
    }
    if architecture == XL:
        files["text_encoder_2/config.json"] = _OPEN_CLIP_G
    return files


def _write_tokenizer(folder: Path, *, open_clip: bool) -> None:
    """Write CLIP's tokenizer; OpenCLIP pads with token 0, OpenAI's with the end of text."""
    from transformers import CLIPTokenizer

    merges = clip_merges()
    CLIPTokenizer(
        vocab=clip_vocabulary(merges),
        merges=merges,
        pad_token="!" if open_clip else "<|endoftext|>",
        model_max_length=77,
    ).save_pretrained(folder)


def clip_merges() -> list[tuple[str, str]]:
    """Return CLIP's byte-pair merges, the first to be applied first."""
    content = (Path(__file__).parent / _MERGES_FILE).read_bytes()
    lines = gzip.decompress(content).decode().splitlines()
    return [(left, right) for left, right in (line.split() for line in lines)]


def clip_vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Return CLIP's token ids: bytes, bytes at a word's end, merges, and two special tokens."""
    # Byte-level BPE (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners")
    # writes each byte as a character: a printable one as itself, the others as those from 256 on.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = range(0x100, 0x100 + 256 - len(printable))
    letters = [chr(code) for code in (*printable, *others)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += [left + right for left, right in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}


_INDEX: Config = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
_INDEX_XL: Config = {
    "_class_name": "StableDiffusionXLPipeline",
    "feature_extractor": [None, None],
    "force_zeros_for_empty_prompt": True,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
_CLIP: Config = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "vocab_size": _WORDS,
    "max_position_embeddings": 77,
    "bos_token_id": _WORDS - 2,
    "eos_token_id": _WORDS - 1,
    "layer_norm_eps": 1e-5,
}
_CLIP_L: Config = {
    **_CLIP,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "projection_dim": 768,
    "pad_token_id": _WORDS - 1,
}
# 23 of the 24 layers: 2.x conditions on the last but one.
_OPEN_CLIP_H: Config = {
    **_CLIP,
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "projection_dim": 512,
    "pad_token_id": 0,
}

_OPEN_CLIP_G: Config = {
    **_CLIP,
    "architectures": ["CLIPTextModelWithProjection"],
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "projection_dim": 1280,
    "pad_token_id": 0,
}


def _unet(architecture: str) -> Config:
    if architecture == XL:
        return _UNET_XL
    config: dict[str, Any] = {
        "_class_name": "UNet2DConditionModel",
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "in_channels": 4,
        "out_channels": 4,
        "norm_num_groups": 32,
        "sample_size": 96 if architecture == V2_V else 64,
    }
    if architecture == V1:
        return config | {"attention_head_dim": 8, "cross_attention_dim": 768}
    return config | {
        "attention_head_dim": [5, 10, 20, 20],
        "cross_attention_dim": 1024,
        "use_linear_projection": True,
        # 2.1 overflows in float16 without.
        "upcast_attention": architecture == V2_V,
    }


_UNET_XL: Config = {
    "_class_name": "UNet2DConditionModel",
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2,
    "up_block_types": ["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"],
    "in_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 4,
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
}


def _vae(architecture: str) -> Config:
    return {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "norm_num_groups": 32,
        "scaling_factor": 0.13025 if architecture == XL else 0.18215,
        "sample_size": {XL: 1024, V2_V: 768}.get(architecture, 512),
    }


def _scheduler(architecture: str) -> Config:
    own: Config = {"_class_name": "DDIMScheduler"}
    if architecture == XL:
        own = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}
    return {
        **own,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "prediction_type": "v_prediction" if architecture == V2_V else "epsilon",
    }
