"""A model file for other programs: safetensors with ModelSpec's keys in its header.

https://github.com/Stability-AI/ModelSpec
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from styledag.errors import ModelError
from styledag.settings import StrictSettings, setting
from styledag.store.files import replaced

if TYPE_CHECKING:
    import torch

    from styledag.tensors.reader import TensorSpec

DType = Literal["float16", "bfloat16", "float32"]
"""Of the weights in a file, by torch's names."""

MODELSPEC_VERSION = "1.0.1"
_HASH_KEY = "modelspec.hash_sha256"
_HASH_LENGTH = 2 + 64


@dataclass(frozen=True, kw_only=True)
class ModelDescription(StrictSettings):
    """What the header of a model file states for a person.

    A date is left out: the same model is the same file.
    """

    title: str = setting(help="Title that a web UI shows.", min_length=1)
    description: str = setting("", help="Text in Markdown.")
    license: str = setting("", help="Name of the licence, or a link to it.")
    tags: tuple[str, ...] = setting((), help="Labels of the model.")

    def keys(self) -> dict[str, str]:
        """Return the header's strings, without those that are empty."""
        stated = {
            "title": self.title,
            "description": self.description,
            "license": self.license,
            "tags": ",".join(self.tags),
        }
        return {f"modelspec.{key}": text for key, text in stated.items() if text}


def check_file_name(to: Path) -> None:
    """Check that a model file's name says what it is.

    Raises:
        ModelError: If the name does not end in ``.safetensors``.
    """
    if to.suffix != ".safetensors":
        raise ModelError(f"{to} must end in .safetensors, by which programs recognise the format")


def write_model_file(
    to: Path,
    specs: "Sequence[TensorSpec]",
    metadata: Mapping[str, str],
    pieces: "Iterable[torch.Tensor]",
) -> str:
    """Write a safetensors file whose header contains the hash of its tensors; return that hash.

    The file appears whole or not at all.

    Args:
        to: The file, ending in ``.safetensors``; replaced if it is there.
        specs: All tensors, in the order of ``pieces``.
        metadata: The header's strings; ModelSpec's version and hash are added.
        pieces: The tensors' elements, flattened, in pieces of any size.

    Returns:
        sha256 of the tensors' bytes.

    Raises:
        ModelError: If the name does not end in ``.safetensors``.
        StorageError: If the file cannot be written.
    """
    import torch

    from styledag.tensors.header import header_bytes

    check_file_name(to)
    header = {"modelspec.sai_model_spec": MODELSPEC_VERSION, **metadata}
    with replaced(to) as partial, partial.open("w+b") as file:
        # The hash has a fixed length, so the header is written again in its place.
        file.write(header_bytes(specs, header | {_HASH_KEY: "0" * _HASH_LENGTH}))
        body = file.tell()
        for piece in pieces:
            file.write(piece.contiguous().flatten().view(torch.uint8).numpy().data)
        file.seek(body)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        file.write(header_bytes(specs, header | {_HASH_KEY: f"0x{digest}"}))
    return digest


def cast_finite(piece: "torch.Tensor", dtype: "torch.dtype", name: str) -> "torch.Tensor":
    """Return a piece of a tensor in a dtype.

    Raises:
        ModelError: If an element is NaN, infinite, or too large for the dtype.
    """
    cast = piece.to(dtype)
    if cast.is_floating_point() and not bool(cast.isfinite().all()):
        raise ModelError(
            f"tensor {name!r} is NaN or too large for {dtype}: export with --dtype fp32"
        )
    return cast
