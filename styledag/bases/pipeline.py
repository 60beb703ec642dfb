"""A whole pipeline of diffusers, of whatever family its folder is."""

from pathlib import Path
from typing import Any, Literal

from styledag.errors import ModelError


def load_pipeline(folder: Path, dtype: Literal["float32", "float16", "bfloat16"]) -> Any:
    """Return the ``DiffusionPipeline`` of a folder in diffusers' layout, on the CPU.

    Raises:
        ModelError: If a part is missing or damaged.
    """
    import torch
    from diffusers import DiffusionPipeline

    try:
        return DiffusionPipeline.from_pretrained(
            folder, dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError) as exc:
        raise ModelError(f"{folder} cannot be loaded as a pipeline: {exc}") from exc
