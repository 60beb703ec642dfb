"""Configurations of Stable Diffusion 3 and 3.5, for single files, which are weights only.

T5's vocabulary lies beside this file and comes from
https://github.com/google-research/text-to-text-transfer-transformer (Apache 2.0, see
``t5_pieces.LICENSE``).
"""

import base64
import gzip
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SD3, SD35_MEDIUM = "stable-diffusion-v3-medium", "stable-diffusion-v3.5-medium"
SD35_LARGE = "stable-diffusion-v3.5-large"

_PIECES_FILE = "t5_pieces.txt.gz"
_SPECIAL_PIECES = ("<pad>", "</s>", "<unk>")
_EXTRA_PIECES = 100

Config = Mapping[str, Any]


def sd3_configurations(
    architecture: str, *, clips: tuple[Config, Config], with_t5: bool
) -> dict[str, Config]:
    """Return the configurations of a Stable Diffusion 3.x, by their files.

    Args:
        architecture: :data:`SD3`, :data:`SD35_MEDIUM` or :data:`SD35_LARGE`.
        clips: Those of its CLIPs as XL has them; 3.x projects the pooled states of both.
        with_t5: Whether it has a T5.
    """
    t5 = {"text_encoder_3/config.json": _T5} if with_t5 else {}
    first, second = ({**each, "architectures": [_CLIP_CLASS]} for each in clips)
    return {
        "model_index.json": {
            "_class_name": "StableDiffusion3Pipeline",
            "feature_extractor": [None, None],
            "image_encoder": [None, None],
            "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
            "text_encoder": ["transformers", _CLIP_CLASS],
            "text_encoder_2": ["transformers", _CLIP_CLASS],
            "text_encoder_3": ["transformers", "T5EncoderModel"] if with_t5 else [None, None],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "tokenizer_3": ["transformers", "T5TokenizerFast"] if with_t5 else [None, None],
            "transformer": ["diffusers", "SD3Transformer2DModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
        "scheduler/scheduler_config.json": {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": 1000,
            "shift": 3.0,
        },
        "text_encoder/config.json": first,
        "text_encoder_2/config.json": second,
        "transformer/config.json": {**_TRANSFORMER, **_SIZES[architecture]},
        "vae/config.json": _VAE,
        **t5,
    }


def write_t5_tokenizer(folder: Path) -> None:
    """Write the tokenizer of T5 1.1, which reads 512 tokens, into a folder."""
    from tokenizers.normalizers import Precompiled
    from transformers import T5TokenizerFast

    content = (Path(__file__).parent / _PIECES_FILE).read_bytes()
    characters, *lines = gzip.decompress(content).decode().rstrip("\n").split("\n")
    pieces = [(piece, 0.0) for piece in _SPECIAL_PIECES]
    for line in lines:
        piece, score = line.split("\t")
        # SentencePiece's scores are float32.
        pieces.append((piece, struct.unpack("f", struct.pack("f", float(score)))[0]))
    pieces += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(_EXTRA_PIECES))]
    tokenizer = T5TokenizerFast(vocab=pieces, extra_ids=_EXTRA_PIECES, model_max_length=512)
    tokenizer.backend_tokenizer.normalizer = Precompiled(base64.b64decode(characters))
    tokenizer.save_pretrained(folder)


_CLIP_CLASS = "CLIPTextModelWithProjection"
_TRANSFORMER: Config = {
    "_class_name": "SD3Transformer2DModel",
    "attention_head_dim": 64,
    "in_channels": 16,
    "joint_attention_dim": 4096,
    "out_channels": 16,
    "patch_size": 2,
    "pooled_projection_dim": 2048,
    "sample_size": 128,
}
_SIZES: Mapping[str, Config] = {
    SD3: {
        "caption_projection_dim": 1536,
        "num_attention_heads": 24,
        "num_layers": 24,
        "pos_embed_max_size": 192,
    },
    SD35_MEDIUM: {
        "caption_projection_dim": 1536,
        "dual_attention_layers": list(range(13)),
        "num_attention_heads": 24,
        "num_layers": 24,
        "pos_embed_max_size": 384,
        "qk_norm": "rms_norm",
    },
    SD35_LARGE: {
        "caption_projection_dim": 2432,
        "num_attention_heads": 38,
        "num_layers": 38,
        "pos_embed_max_size": 192,
        "qk_norm": "rms_norm",
    },
}
_VAE: Config = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 16,
    "norm_num_groups": 32,
    "sample_size": 1024,
    "scaling_factor": 1.5305,
    "shift_factor": 0.0609,
    "use_post_quant_conv": False,
    "use_quant_conv": False,
}
_T5: Config = {
    "architectures": ["T5EncoderModel"],
    "model_type": "t5",
    "d_ff": 10240,
    "d_kv": 64,
    "d_model": 4096,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "feed_forward_proj": "gated-gelu",
    "layer_norm_epsilon": 1e-6,
    "num_decoder_layers": 24,
    "num_heads": 64,
    "num_layers": 24,
    "pad_token_id": 0,
    "relative_attention_max_distance": 128,
    "relative_attention_num_buckets": 32,
    "tie_word_embeddings": False,
    "vocab_size": 32128,
}
