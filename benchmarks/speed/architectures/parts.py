"""Parts that several bases have, and what is stated of each base."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Small = bool
"""Whether a configuration is of the small scale."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A published base.

    Attributes:
        title: Its name.
        billions: Billions of parameters of its denoiser, without the positions that a file has.
        goal: Images a second of its own size on one H100, full fine-tune.
        files: Its configurations by path.
    """

    title: str
    billions: float
    goal: float
    files: Callable[[Small], dict[str, Any]]


FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
DIFFUSION = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
}
T5 = {
    "model_type": "t5",
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "vocab_size": 32128,
}


def index(pipeline: str, **parts: str) -> dict[str, Any]:
    """Return ``model_index.json``: the class of each part."""
    return {"_class_name": pipeline, **{name: ["", kind] for name, kind in parts.items()}}


def autoencoder(kind: str = "AutoencoderKL", **settings: Any) -> dict[str, Any]:
    """Return the configuration of an autoencoder."""
    return {
        "_class_name": kind,
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        **settings,
    }


def clip(width: int, layers: int, projected: int) -> dict[str, Any]:
    """Return the configuration of a CLIP text encoder."""
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


def qwen(small: Small) -> dict[str, Any]:
    """Return the configuration of a Qwen3."""
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
