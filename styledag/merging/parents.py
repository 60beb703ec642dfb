"""The folders that are merged: compared by tensors, shapes and configuration, and read."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.settings import canonical_json
from styledag.tensors.layout import CONFIG_FILE

if TYPE_CHECKING:
    import torch

    from styledag.tensors.reader import TensorReader, TensorSpec


def finite_rows(parent: "TensorReader", name: str, start: int, stop: int) -> "torch.Tensor":
    """Return rows of a parent's tensor.

    Raises:
        ModelError: If they hold NaN or infinity.
    """
    from styledag.tensors.finite import is_finite

    rows = parent.read(name, start, stop)
    if not is_finite(rows):
        raise ModelError(
            f"{parent.path}: tensor {name!r} holds NaN or infinity: fetch the model again, or "
            "train it again with a lower learning_rate"
        )
    return rows


def common_specs(base: "TensorReader", other: "TensorReader") -> "list[TensorSpec]":
    """Return the tensors of two parents, each in the wider of its two dtypes.

    Raises:
        ModelError: If they differ in tensors, shapes or kinds of dtype.
    """
    import torch

    from styledag.tensors.reader import TensorSpec

    only = sorted(base.specs.keys() ^ other.specs.keys())
    if only:
        where = base.path if only[0] in base.specs else other.path
        raise ModelError(
            f"{base.path} and {other.path} do not hold the same tensors: {only[0]!r} is only in "
            f"{where} ({len(only)} such in all); blend a base with its own fine-tune"
        )
    specs = []
    for name, ours in base.specs.items():
        theirs = other.specs[name]
        if ours.shape != theirs.shape:
            raise ModelError(
                f"tensor {name!r} is {list(ours.shape)} in {base.path}, but {list(theirs.shape)} "
                f"in {other.path}; blend a base with its own fine-tune"
            )
        if ours.dtype.is_floating_point != theirs.dtype.is_floating_point:
            raise ModelError(
                f"tensor {name!r} is {ours.dtype} in {base.path}, but {theirs.dtype} in "
                f"{other.path}"
            )
        dtype = torch.promote_types(ours.dtype, theirs.dtype)
        specs.append(TensorSpec(name, dtype, ours.shape))
    return specs


def common_config(base: Path, tuned: Path, *, except_for: Collection[str] = ()) -> dict[str, Any]:
    """Return the base's configuration, without the path that it was loaded from.

    Raises:
        ModelError: If one cannot be read, or the two differ in another key that both have.
    """
    ours, theirs = read_config(base / CONFIG_FILE), read_config(tuned / CONFIG_FILE)
    for key in sorted((ours.keys() & theirs.keys()) - set(except_for)):
        if not key.startswith("_") and canonical_json(ours[key]) != canonical_json(theirs[key]):
            raise ModelError(
                f"{key!r} is {ours[key]!r} in {base / CONFIG_FILE}, but {theirs[key]!r} in "
                f"{tuned / CONFIG_FILE}; blend a base with its own fine-tune"
            )
    return {key: value for key, value in ours.items() if key != "_name_or_path"}
