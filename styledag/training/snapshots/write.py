"""Write the averaged UNet in diffusers' layout, in half the bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from styledag.errors import TrainingError
from styledag.settings import canonical_json
from styledag.store.files import replaced_folder
from styledag.tensors.layout import CONFIG_FILE, WEIGHTS_FILE
from styledag.training.disk import write_errors


def halves(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return weights in 16 bits in host memory, which no later change of the weights changes.

    Args:
        weights: By name.
        dtype: float16 or bfloat16.

    Raises:
        TrainingError: If a weight is NaN, or too large for float16.
    """
    return {name: _half(name, tensor.detach(), dtype) for name, tensor in weights.items()}


def write_halves(unet: Any, state_dict: dict[str, Tensor], folder: Path) -> None:
    """Write a UNet with the weights that :func:`halves` returned; the folder appears at once.

    Raises:
        StorageError: If the disk is full or cannot be written.
    """
    with write_errors(folder), replaced_folder(folder) as partial:
        safetensors.torch.save_file(state_dict, partial / WEIGHTS_FILE, metadata={"format": "pt"})
        (partial / CONFIG_FILE).write_text(_config(unet), encoding="utf-8")


def _half(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    half = tensor.to(dtype)
    if torch.isfinite(half).all():
        return half.to("cpu", copy=half is tensor).contiguous()
    largest = float(tensor.abs().max())
    is_finite = largest < float("inf")
    remedy = "lower learning_rate or max_grad_norm"
    if is_finite and dtype == torch.float16:
        remedy += ", or set snapshot_dtype to 'bfloat16'"
    found = f"{largest:g}" if is_finite else "NaN or infinity"
    raise TrainingError(
        f"weight {name} holds {found}, which {str(dtype).removeprefix('torch.')} cannot "
        f"(at most {torch.finfo(dtype).max:g}): {remedy}"
    )


def _config(unet: Any) -> str:
    # What starts with an underscore names the class, or where this machine keeps the base.
    config = {
        name: value
        for name, value in unet.config.items()
        if not name.startswith("_") or name in ("_class_name", "_diffusers_version")
    }
    return canonical_json(config | {"_class_name": type(unet).__name__}) + "\n"
