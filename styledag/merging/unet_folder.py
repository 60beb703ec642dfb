"""A UNet's folder in diffusers' layout, compared with another's and written piece by piece."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.settings import canonical_json
from styledag.store.artifact import Facts
from styledag.store.files import storage_errors

if TYPE_CHECKING:
    import torch

    from styledag.tensors.file import TensorReader, TensorSpec

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
_PIECE_NUMBERS = 1 << 22

Piece = Callable[[str, int, int], "torch.Tensor"]
"""Makes numbers ``start`` to ``start + count`` of a named tensor, flattened."""


def write_unet_folder(
    output: Path,
    config: Mapping[str, Any],
    specs: "Sequence[TensorSpec]",
    metadata: Mapping[str, str],
    piece: Piece,
) -> Facts:
    """Write a UNet whose tensors are made in pieces of a few megabytes; return its figures.

    Args:
        output: Folder to write; made if it is not there.
        config: What ``config.json`` says.
        specs: All tensors, in the order of the file.
        metadata: Strings for the file's header.
        piece: Makes each piece, in the order of ``specs``.

    Raises:
        StorageError: If the output cannot be written.
    """
    from styledag.tensors.file import TensorWriter

    partial = output / f"{WEIGHTS}.partial"
    with storage_errors(str(output)):
        output.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                writer = TensorWriter(file, specs, metadata)
                for spec in specs:
                    for start in range(0, spec.numel, _PIECE_NUMBERS):
                        count = min(_PIECE_NUMBERS, spec.numel - start)
                        writer.write(piece(spec.name, start, count))
            partial.replace(output / WEIGHTS)
        finally:
            partial.unlink(missing_ok=True)
        (output / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return {
        "tensors": len(specs),
        "parameters": sum(spec.numel for spec in specs),
        "bytes": sum(spec.nbytes for spec in specs),
        "dtypes": sorted({str(spec.dtype).removeprefix("torch.") for spec in specs}),
    }


def finite_piece(parent: "TensorReader", name: str, start: int, count: int) -> "torch.Tensor":
    """Return a piece of a parent's tensor.

    Raises:
        ModelError: If it holds NaN or infinity.
    """
    piece = parent.read(name, start, count)
    if piece.is_floating_point() and not bool(piece.isfinite().all()):
        raise ModelError(f"{parent.path}: tensor {name!r} holds NaN or infinity")
    return piece


def common_specs(base: "TensorReader", tuned: "TensorReader") -> "list[TensorSpec]":
    """Return the tensors of two parents, each in the wider of its two dtypes.

    Raises:
        ModelError: If they differ in tensors, shapes or kinds of number.
    """
    import torch

    from styledag.tensors.file import TensorSpec

    only = sorted(base.specs.keys() ^ tuned.specs.keys())
    if only:
        where = base.path if only[0] in base.specs else tuned.path
        raise ModelError(
            f"{base.path} and {tuned.path} do not hold the same tensors: {only[0]!r} is only in "
            f"{where} ({len(only)} such in all); blend a base with its own fine-tune"
        )
    specs = []
    for name, ours in base.specs.items():
        theirs = tuned.specs[name]
        if ours.shape != theirs.shape:
            raise ModelError(
                f"tensor {name!r} is {list(ours.shape)} in {base.path}, but {list(theirs.shape)} "
                f"in {tuned.path}; blend a base with its own fine-tune"
            )
        if ours.dtype.is_floating_point != theirs.dtype.is_floating_point:
            raise ModelError(
                f"tensor {name!r} is {ours.dtype} in {base.path}, but {theirs.dtype} in "
                f"{tuned.path}"
            )
        dtype = torch.promote_types(ours.dtype, theirs.dtype)
        specs.append(TensorSpec(name, dtype, ours.shape))
    return specs


def common_config(base: Path, tuned: Path) -> dict[str, Any]:
    """Return the base's configuration, less where it once lay.

    Raises:
        ModelError: If one cannot be read, or the two say different things.
    """
    ours, theirs = _config(base), _config(tuned)
    for key in sorted(ours.keys() & theirs.keys()):
        if not key.startswith("_") and canonical_json(ours[key]) != canonical_json(theirs[key]):
            raise ModelError(
                f"{key!r} is {ours[key]!r} in {base / CONFIG}, but {theirs[key]!r} in "
                f"{tuned / CONFIG}; blend a base with its own fine-tune"
            )
    return {key: value for key, value in ours.items() if key != "_name_or_path"}


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        raise ModelError(f"{path} is no readable configuration of a UNet: {exc}") from exc
    if not isinstance(config, dict):
        raise ModelError(f"{path} is no configuration of a UNet: it is no JSON object")
    return config
