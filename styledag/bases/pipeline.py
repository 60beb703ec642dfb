"""A whole pipeline of diffusers, of whatever family its folder is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError, StyledagError

if TYPE_CHECKING:
    import torch

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def dtype_named(dtype: "str | torch.dtype") -> str:
    """Return the name of a dtype that people write in one of several ways: ``float16``.

    Args:
        dtype: ``float16``, ``fp16`` or ``torch.float16``; likewise float32 and bfloat16.

    Raises:
        StyledagError: If it is another.
    """
    name = str(dtype).removeprefix("torch.")
    if _DTYPES.get(name, name) not in _DTYPES.values():
        raise StyledagError(f"dtype is {dtype!r}: pass {', '.join(_DTYPES.values())}")
    return _DTYPES.get(name, name)


def load_pipeline(folder: Path, dtype: "str | torch.dtype") -> Any:
    """Return the ``DiffusionPipeline`` of a folder in diffusers' layout, on the CPU.

    Raises:
        ModelError: If a part is missing or damaged.
        StyledagError: If the dtype is no floating one that models are loaded in.
    """
    import torch
    from diffusers import DiffusionPipeline

    chosen = getattr(torch, dtype_named(dtype))
    try:
        return DiffusionPipeline.from_pretrained(
            folder, dtype=chosen, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError) as exc:
        raise ModelError(f"{folder} cannot be loaded as a pipeline: {exc}") from exc
