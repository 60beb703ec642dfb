"""Weights in a single file that are 8-bit: those of text encoders, which are not trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import ModelError
from styledag.models.single_file.names import TEXT_PREFIXES, is_turned

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from styledag.tensors.reader import TensorReader, TensorSpec

_SCALES = ("scale_weight", "weight_scale")
"""What ComfyUI calls the number that a layer's float8 weights are multiplied by, old and new."""


def is_text(name: str) -> bool:
    """Return whether a tensor of a single file is one of a text encoder, by its name."""
    return name.startswith(TEXT_PREFIXES)


def stored_dtype(dtype: "torch.dtype") -> "torch.dtype | None":
    """Return the dtype that a weight is kept in; ``None`` if it is an integer, and no weight.

    Float8 becomes float16, which has all of its numbers.
    """
    import torch

    if not dtype.is_floating_point:
        return None
    return torch.float16 if dtype.itemsize == 1 else dtype


def check_weight(path: Path, spec: "TensorSpec") -> None:
    """Check that a weight is not of an integer dtype, of which a quantised model computes it.

    Raises:
        ModelError: If it is.
    """
    if not spec.dtype.is_floating_point:
        raise ModelError(
            f"{path}: tensor {spec.name!r} is quantised ({str(spec.dtype).removeprefix('torch.')}),"
            " which is not read: name the same model in float32, bfloat16 or float16"
        )


def read_weight(reader: "TensorReader", original: str, name: str) -> "Tensor":
    """Return a weight of a file as the original has it: not transposed, float8 widened and scaled.

    Args:
        reader: The file.
        original: The tensor's name in the original checkpoints.
        name: That in the file.

    Raises:
        ModelError: If it is quantised in another way.
    """
    check_weight(reader.path, reader.specs[name])
    tensor, scale = reader.read(name), _scale(reader, name)
    if scale is not None:
        tensor = tensor.float() * scale
    tensor = tensor.to(stored_dtype(reader.specs[name].dtype))
    return tensor.T.contiguous() if is_turned(original, name) else tensor


def _scale(reader: "TensorReader", name: str) -> "Tensor | None":
    layer, _, kind = name.rpartition(".")
    scales = [f"{layer}.{each}" for each in _SCALES if f"{layer}.{each}" in reader.specs]
    if kind != "weight" or not scales:
        return None
    if reader.specs[scales[0]].numel != 1:
        raise ModelError(
            f"{reader.path}: tensor {name!r} is quantised by blocks ({scales[0]!r} has "
            f"{reader.specs[scales[0]].numel} elements), which is not read: name the same model in "
            "float32, bfloat16 or float16, or with one scale a layer"
        )
    return reader.read(scales[0]).float()
