"""Write a pipeline as one safetensors file, for the web UIs that read Stable Diffusion so."""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from styledag.errors import ModelError
from styledag.publishing.single_file.parts import OriginalTensor, PipelineParts, open_parts
from styledag.settings import STRICT, check_settings, setting
from styledag.store.artifact import Facts
from styledag.store.files import storage_errors

if TYPE_CHECKING:
    import torch

MODELSPEC_VERSION = "1.0.1"
_DTYPES = ("float16", "bfloat16", "float32")
_NO_HASH = "0x" + "0" * 64


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """What the header of a model file states for a reader, in ModelSpec's keys.

    https://github.com/Stability-AI/ModelSpec. A date is left out: the same model is the same file.
    """

    __pydantic_config__ = STRICT

    title: str = setting(help="Title that a web UI shows.", min_length=1)
    description: str = setting("", help="Text in Markdown.")
    author: str = setting("", help="Name or address of whoever made the model.")
    license: str = setting("", help="Name of the licence, or a link to it.")
    usage_hint: str = setting("", help="Short hint, such as words that a prompt should contain.")
    tags: tuple[str, ...] = setting((), help="Labels of the model.")
    merged_from: tuple[str, ...] = setting((), help="Titles of the models that it was blended of.")

    def __post_init__(self) -> None:
        check_settings(self)

    def keys(self) -> dict[str, str]:
        """Return the header's strings, without those that are empty."""
        stated = {
            "title": self.title,
            "description": self.description,
            "author": self.author,
            "license": self.license,
            "usage_hint": self.usage_hint,
            "tags": ",".join(self.tags),
            "merged_from": ",".join(self.merged_from),
        }
        return {f"modelspec.{key}": text for key, text in stated.items() if text}


def export_single_file(
    pipeline: Path,
    to: Path,
    description: ModelDescription,
    *,
    unet: Path | None = None,
    vae: Path | None = None,
    dtype: str = "float16",
    provenance: Mapping[str, str] | None = None,
) -> Facts:
    """Write a Stable Diffusion 1.x or 2.x pipeline as one file and return its facts.

    Tensors are named as in the original checkpoints, which A1111, ComfyUI and diffusers'
    ``from_single_file`` read. Weights are read, cast and written in pieces: memory stays flat. The
    file appears whole or not at all, and depends on its inputs only.

    Args:
        pipeline: Folder in diffusers' layout.
        to: The file, ending in ``.safetensors``; replaced if it is there.
        description: Title and more for the header.
        unet: Folder of the UNet that replaces the pipeline's.
        vae: Folder of the autoencoder that replaces the pipeline's.
        dtype: ``float16``, ``bfloat16`` or ``float32``; of all tensors.
        provenance: Further strings for the header, by key.

    Raises:
        ModelError: If the pipeline is of another family, incomplete, or contains a weight that is
            NaN or too large for the dtype.
        StorageError: If the file cannot be written.
    """
    import torch

    from styledag.tensors.file import TensorSpec, TensorWriter

    if dtype not in _DTYPES:
        raise ModelError(f"dtype is {dtype!r}, but must be one of {', '.join(_DTYPES)}")
    if to.suffix != ".safetensors":
        raise ModelError(f"{to} must end in .safetensors, by which programs recognise the format")
    with ExitStack() as stack:
        parts = open_parts(pipeline, stack, unet=unet, vae=vae)
        tensors = parts.tensors()
        cast: torch.dtype = getattr(torch, dtype)
        specs = [TensorSpec(tensor.name, cast, tensor.shape) for tensor in tensors]
        header = {"format": "pt", **(provenance or {}), **description.keys(), **_technical(parts)}
        partial = to.with_name(f"{to.name}.partial")
        with storage_errors(str(to)):
            to.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("w+b") as file:
                    # The hash has a fixed length, so the header is written again in place.
                    writer = TensorWriter(file, specs, header | _hash(_NO_HASH))
                    body = file.tell()
                    for tensor in tensors:
                        _write(tensor, parts, cast, writer.write)
                    digest = _digest(file, body)
                    file.seek(0)
                    TensorWriter(file, specs, header | _hash(digest))
                partial.replace(to)
            finally:
                partial.unlink(missing_ok=True)
    return {
        "tensors": len(specs),
        "parameters": sum(spec.numel for spec in specs),
        "bytes": to.stat().st_size,
        "dtype": dtype,
        "architecture": header["modelspec.architecture"],
        "tensor_sha256": digest.removeprefix("0x"),
    }


def architecture_of(parts: PipelineParts) -> str:
    """Return ModelSpec's name of a pipeline's architecture, such as ``stable-diffusion-v1``."""
    if not parts.has_open_clip:
        return "stable-diffusion-v1"
    predicts_v = parts.configs["scheduler"].get("prediction_type") == "v_prediction"
    return "stable-diffusion-v2-768-v" if predicts_v else "stable-diffusion-v2-512"


def _technical(parts: PipelineParts) -> dict[str, str]:
    unet, vae = parts.configs["unet"], parts.configs["vae"]
    size_px = int(unet["sample_size"]) << (len(vae["block_out_channels"]) - 1)
    prediction = parts.configs["scheduler"].get("prediction_type", "epsilon")
    return {
        "modelspec.sai_model_spec": MODELSPEC_VERSION,
        "modelspec.architecture": architecture_of(parts),
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.resolution": f"{size_px}x{size_px}",
        "modelspec.prediction_type": "v" if prediction == "v_prediction" else prediction,
    }


def _hash(digest: str) -> dict[str, str]:
    return {"modelspec.hash_sha256": digest}


def _digest(file: BinaryIO, body: int) -> str:
    file.seek(body)
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return f"0x{digest.hexdigest()}"


def _write(tensor: OriginalTensor, parts: PipelineParts, dtype: "torch.dtype", write: Any) -> None:
    for piece in parts.pieces(tensor):
        cast = piece.to(dtype)
        if not bool(cast.isfinite().all()):
            part, name = tensor.sources[0]
            raise ModelError(
                f"tensor {name!r} of the {part} is NaN or too large for {dtype}: "
                "export with --dtype float32"
            )
        write(cast)
