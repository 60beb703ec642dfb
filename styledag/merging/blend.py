"""One blend of a base UNet and its fine-tune, on the disk, with its parents in the header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.settings import canonical_json
from styledag.store.artifact import Facts
from styledag.store.files import storage_errors

if TYPE_CHECKING:
    import torch

    from styledag.merging.tensor_file import TensorReader, TensorSpec

CODE_VERSION = "1"
CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
METHOD = "lerp"
_PIECE_NUMBERS = 1 << 22


def blend_amount(weight: float, base_share: float) -> float:
    """Return how much of the fine-tune is in a blend, 0 to 1.

    An average that still holds ``base_share`` of the base counts the base twice when it is
    blended with it: at weight 1 only ``1 - base_share`` is fine-tune.

    Args:
        weight: Share of the averaged weights in the blend, 0 to 1.
        base_share: Share of the base that the average itself still holds, 0 to 1.
    """
    return weight * (1 - base_share)


def blend_unet(
    base: Path,
    tuned: Path,
    weight: float,
    output: Path,
    *,
    parents: Mapping[str, str],
    base_share: float,
) -> Facts:
    """Write ``base + weight * (tuned - base)`` as a diffusers folder and return its figures.

    Both parents are read and the blend is written in pieces of a few megabytes, so memory stays
    flat. Arithmetic is float32 at least. Each tensor is saved in the wider of its parents'
    number formats: weight 0 has the base's numbers and weight 1 the fine-tune's exactly, bit for
    bit where the parents' formats agree.

    Args:
        base: Folder of the base UNet: ``config.json`` and one safetensors file.
        tuned: Folder of the fine-tuned UNet.
        weight: Share of the fine-tune, 0 to 1.
        output: Folder to write; made if it is not there.
        parents: Versions of the parents, under ``base`` and ``tuned``.
        base_share: Share of the base that the fine-tune's average still holds.

    Raises:
        ModelError: If the parents differ in tensors, shapes or configuration, or hold NaN or
            infinity; the message names the tensor or key.
        StorageError: If the output cannot be written.
        ValueError: If ``weight`` is not 0 to 1.
    """
    from styledag.merging.tensor_file import TensorReader, in_file_order

    if not 0 <= weight <= 1:
        raise ValueError(f"weight is {weight!r}, but must be 0 to 1")
    config = _common_config(base, tuned)
    amount = blend_amount(weight, base_share)
    metadata = {
        "format": "pt",
        "styledag.method": METHOD,
        "styledag.weight": repr(float(weight)),
        "styledag.amount": repr(amount),
        **{f"styledag.{parent}": version for parent, version in parents.items()},
    }
    with (
        TensorReader(base / WEIGHTS) as base_tensors,
        TensorReader(tuned / WEIGHTS) as tuned_tensors,
    ):
        specs = in_file_order(_blended_specs(base_tensors, tuned_tensors))
        _write_blend(output, specs, metadata, base_tensors, tuned_tensors, weight)
    with storage_errors(str(output)):
        (output / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return {
        "method": METHOD,
        "weight": weight,
        "amount": amount,
        "base_share": base_share,
        "tensors": len(specs),
        "parameters": sum(spec.numel for spec in specs),
        "bytes": sum(spec.nbytes for spec in specs),
        "dtypes": sorted({str(spec.dtype).removeprefix("torch.") for spec in specs}),
    }


def _write_blend(
    output: Path,
    specs: "list[TensorSpec]",
    metadata: Mapping[str, str],
    base: "TensorReader",
    tuned: "TensorReader",
    weight: float,
) -> None:
    from styledag.merging.tensor_file import TensorWriter

    partial = output / f"{WEIGHTS}.partial"
    with storage_errors(str(output)):
        output.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                writer = TensorWriter(file, specs, metadata)
                for spec in specs:
                    for start in range(0, spec.numel, _PIECE_NUMBERS):
                        count = min(_PIECE_NUMBERS, spec.numel - start)
                        writer.write(_blended_piece(base, tuned, spec.name, start, count, weight))
            partial.replace(output / WEIGHTS)
        finally:
            partial.unlink(missing_ok=True)


def _blended_piece(
    base: "TensorReader", tuned: "TensorReader", name: str, start: int, count: int, weight: float
) -> "torch.Tensor":
    from styledag.merging.lerp import lerp

    ours, theirs = (_finite_piece(parent, name, start, count) for parent in (base, tuned))
    if ours.is_floating_point():
        return lerp(ours, theirs, weight)
    if not ours.equal(theirs):
        raise ModelError(
            f"tensor {name!r} holds whole numbers that differ between {base.path} and "
            f"{tuned.path}: they cannot be interpolated"
        )
    return ours


def _finite_piece(parent: "TensorReader", name: str, start: int, count: int) -> "torch.Tensor":
    piece = parent.read(name, start, count)
    if piece.is_floating_point() and not bool(piece.isfinite().all()):
        raise ModelError(f"{parent.path}: tensor {name!r} holds NaN or infinity")
    return piece


def _blended_specs(base: "TensorReader", tuned: "TensorReader") -> "list[TensorSpec]":
    import torch

    from styledag.merging.tensor_file import TensorSpec

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


def _common_config(base: Path, tuned: Path) -> dict[str, Any]:
    """Return the base's configuration, less where it once lay and who wrote it."""
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
