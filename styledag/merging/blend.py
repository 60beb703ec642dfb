"""One blend of a base UNet and its fine-tune, on the disk, with its parents in the header."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.blocks import is_in, prefix_of
from styledag.errors import ModelError
from styledag.merging.unet_folder import (
    WEIGHTS,
    common_config,
    common_specs,
    finite_piece,
    write_unet_folder,
)
from styledag.settings import canonical_json
from styledag.store.artifact import Facts

if TYPE_CHECKING:
    import torch

    from styledag.tensors.file import TensorReader

CODE_VERSION = "1"
METHOD = "lerp"


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
    block_weights: Mapping[str, float] | None = None,
    blocks: Mapping[str, str] | None = None,
) -> Facts:
    """Write ``base + weight * (tuned - base)`` as a diffusers folder and return its figures.

    Both parents are read and the blend is written in pieces of a few megabytes, so memory stays
    flat. Arithmetic is float32 at least. Each tensor is saved in the wider of its parents'
    dtypes: weight 0 has the base's numbers and weight 1 the fine-tune's exactly, bit for
    bit where the parents' formats agree.

    Args:
        base: Folder of the base UNet: ``config.json`` and one safetensors file.
        tuned: Folder of the fine-tuned UNet.
        weight: Share of the fine-tune, 0 to 1.
        output: Folder to write; made if it is not there.
        parents: Versions of the parents, under ``base`` and ``tuned``.
        base_share: Share of the base that the fine-tune's average still holds.
        block_weights: Shares of ``weight`` that single blocks are blended at; 1 for all others.
        blocks: Prefix of the tensors' names in each block that the base has, by its name.

    Raises:
        ModelError: If the parents differ in tensors, shapes or configuration, hold NaN or
            infinity, or have no such block; the message names the tensor, key or block.
        StorageError: If the output cannot be written.
        ValueError: If ``weight`` is not 0 to 1.
    """
    from styledag.tensors.file import TensorReader, in_file_order

    if not 0 <= weight <= 1:
        raise ValueError(f"weight is {weight!r}, but must be 0 to 1")
    config = common_config(base, tuned)
    amount = blend_amount(weight, base_share)
    metadata = {
        "format": "pt",
        "styledag.method": METHOD,
        "styledag.weight": repr(float(weight)),
        "styledag.amount": repr(amount),
        **{f"styledag.{parent}": version for parent, version in parents.items()},
    }
    if block_weights:
        metadata["styledag.block_weights"] = canonical_json(block_weights)
    with (
        TensorReader(base / WEIGHTS) as base_tensors,
        TensorReader(tuned / WEIGHTS) as tuned_tensors,
    ):
        specs = in_file_order(common_specs(base_tensors, tuned_tensors))
        shares = _shares([spec.name for spec in specs], block_weights or {}, blocks or {})

        def piece(name: str, start: int, count: int) -> "torch.Tensor":
            part = weight * shares[name]
            return _blended_piece(base_tensors, tuned_tensors, name, start, count, part)

        written = write_unet_folder(output, config, specs, metadata, piece)
    return {
        "method": METHOD,
        "weight": weight,
        "amount": amount,
        "base_share": base_share,
        **({"block_weights": dict(block_weights)} if block_weights else {}),
        **written,
    }


def _shares(
    names: list[str], block_weights: Mapping[str, float], blocks: Mapping[str, str]
) -> dict[str, float]:
    """Return each tensor's share of the weight, by name."""
    shares = dict.fromkeys(names, 1.0)
    for block, share in block_weights.items():
        prefix = prefix_of(block, blocks, setting="block_weights", error=ModelError)
        shares |= dict.fromkeys([name for name in names if is_in(name, prefix)], share)
    return shares


def _blended_piece(
    base: "TensorReader", tuned: "TensorReader", name: str, start: int, count: int, weight: float
) -> "torch.Tensor":
    from styledag.merging.lerp import lerp

    ours, theirs = (finite_piece(parent, name, start, count) for parent in (base, tuned))
    if ours.is_floating_point():
        return lerp(ours, theirs, weight)
    if not ours.equal(theirs):
        raise ModelError(
            f"tensor {name!r} holds whole numbers that differ between {base.path} and "
            f"{tuned.path}: they cannot be interpolated"
        )
    return ours
