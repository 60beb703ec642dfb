"""Write a pipeline, or its transformer, as one safetensors file for the web UIs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.models.single_file.names import OriginalTensor
from styledag.publishing.model_file import DType, ModelDescription, cast_finite, write_model_file
from styledag.publishing.single_file.parts import PipelineParts, open_parts
from styledag.publishing.single_file.stable_diffusion_3 import (
    WholeTransformer,
    is_whole,
    open_stable_diffusion_3,
)
from styledag.publishing.single_file.transformer import PART, Transformer, open_transformer
from styledag.store.artifact import Facts

if TYPE_CHECKING:
    import torch

_Parts = PipelineParts | Transformer | WholeTransformer


def export_single_file(
    pipeline: Path,
    to: Path,
    description: ModelDescription,
    *,
    denoiser: Path | None = None,
    vae: Path | None = None,
    dtype: DType = "float16",
    provenance: Mapping[str, str] | None = None,
) -> Facts:
    """Write a pipeline of Stable Diffusion as one file and return its facts.

    Of later families, whose files people share so, it contains the transformer alone, which ComfyUI
    reads from ``models/diffusion_models``. Tensors are named as in the original checkpoints, which
    A1111, ComfyUI and diffusers' ``from_single_file`` read. Weights are read, cast and written in
    pieces: memory stays flat. The file appears whole or not at all, and depends on its inputs only.

    Args:
        pipeline: Folder in diffusers' layout.
        to: The file, ending in ``.safetensors``; replaced if it is there.
        description: Title and more for the header.
        denoiser: Folder of the UNet or transformer that replaces the pipeline's.
        vae: Folder of the autoencoder that replaces the pipeline's.
        dtype: Of all tensors.
        provenance: Further strings for the header, by key.

    Raises:
        ModelError: If the pipeline is of another family, incomplete, or contains a weight that is
            NaN or too large for the dtype.
        StorageError: If the file cannot be written.
    """
    import torch

    from styledag.tensors.reader import TensorSpec

    with ExitStack() as stack:
        parts = _opener(pipeline)(pipeline, stack, denoiser=denoiser, vae=vae)
        tensors = parts.tensors()
        cast: torch.dtype = getattr(torch, dtype)
        specs = [TensorSpec(tensor.name, cast, tensor.shape) for tensor in tensors]
        header = {"format": "pt", **(provenance or {}), **description.keys(), **parts.technical()}
        pieces = (piece for tensor in tensors for piece in _cast(tensor, parts, cast))
        digest = write_model_file(to, specs, header, pieces)
    return {
        "tensors": len(specs),
        "parameters": sum(spec.numel for spec in specs),
        "bytes": to.stat().st_size,
        "dtype": dtype,
        "architecture": header["modelspec.architecture"],
        "tensor_sha256": digest,
    }


def _opener(pipeline: Path) -> Callable[..., _Parts]:
    if not (pipeline / PART).is_dir():
        return open_parts
    return open_stable_diffusion_3 if is_whole(pipeline) else open_transformer


def _cast(tensor: OriginalTensor, parts: _Parts, dtype: "torch.dtype") -> "Iterator[torch.Tensor]":
    for piece in parts.pieces(tensor):
        yield cast_finite(piece, dtype, ".".join(tensor.sources[0]))
