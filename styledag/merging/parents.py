"""The folders that are merged: compared by tensors, shapes and configuration, and read."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.single_file.names import vae_model_name
from styledag.settings import canonical_json
from styledag.tensors.layout import CONFIG_FILE

if TYPE_CHECKING:
    import torch

    from styledag.tensors.reader import TensorReader, TensorSpec


_FREE_OF_WEIGHTS = frozenset(
    (
        *("sample_size", "upcast_attention", "force_upcast", "dropout", "attention_dropout"),
        *("architectures", "dtype", "torch_dtype", "transformers_version", "initializer_factor"),
        *("initializer_range", "projection_dim", "use_cache"),
        *("bos_token_id", "eos_token_id", "pad_token_id"),
    )
)
"""Keys of a configuration that no weight depends on: training, rounding, usual sizes, versions."""


class Tensors(Protocol):
    """What a parent's tensors are read from: a reader of its files, or a :class:`Parent`."""

    @property
    def path(self) -> Path:
        """The file, or the folder."""

    @property
    def specs(self) -> "Mapping[str, TensorSpec]":
        """Tensors by name."""

    def read(self, name: str, start: int = 0, stop: int | None = None) -> "torch.Tensor":
        """Return a tensor, or its rows ``start`` to ``stop``."""


class Parent:
    """The weights of a model under the names that the base has for them.

    transformers 5 saves CLIP's text encoder without the prefix that releases before it wrote, and
    reads both. Some of those wrote the positions of a text's tokens too, which are counted and no
    weights. Older autoencoders have other names for their attention than diffusers saves now.

    Args:
        reader: Of the model's files.
        base: The base; ``None`` if it is the base.
    """

    def __init__(self, reader: "TensorReader", base: "Parent | None" = None) -> None:
        self._reader = reader
        self.path = reader.path
        by_plain_name = {} if base is None else {_plain(name): name for name in base.specs}
        self._own_names = {
            by_plain_name.get(_plain(name), name): name
            for name in reader.specs
            if not name.endswith("position_ids")
        }
        self.specs: Mapping[str, TensorSpec] = {
            name: replace(reader.specs[own], name=name) for name, own in self._own_names.items()
        }

    def read(self, name: str, start: int = 0, stop: int | None = None) -> "torch.Tensor":
        """Return a tensor, or its rows ``start`` to ``stop``.

        Raises:
            ModelError: If the file is damaged.
        """
        return self._reader.read(self._own_names[name], start, stop)


def _plain(name: str) -> str:
    return vae_model_name(name.removeprefix("text_model."))


def finite_rows(parent: Tensors, name: str, start: int, stop: int) -> "torch.Tensor":
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


def common_specs(base: Tensors, other: Tensors) -> "list[TensorSpec]":
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


def common_config(base: Path, tuned: Path) -> dict[str, Any]:
    """Return the base's configuration, without the path that it was loaded from.

    Raises:
        ModelError: If one cannot be read, or the two differ in another key that both have.
    """
    ours, theirs = read_config(base / CONFIG_FILE), read_config(tuned / CONFIG_FILE)
    for key in differing_keys(ours, theirs):
        raise ModelError(
            f"{key!r} is {ours[key]!r} in {base / CONFIG_FILE}, but {theirs[key]!r} in "
            f"{tuned / CONFIG_FILE}; blend a base with its own fine-tune"
        )
    return {key: value for key, value in ours.items() if key != "_name_or_path"}


def differing_keys(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterable[str]:
    """Yield the keys in which the configurations of two models of unlike weights differ.

    Only keys that both have count, as each release of a library writes some that others do not.
    """
    for key in sorted((ours.keys() & theirs.keys()) - _FREE_OF_WEIGHTS):
        if not key.startswith("_") and not _is_alike(ours[key], theirs[key]):
            yield key


def _is_alike(ours: Any, theirs: Any) -> bool:
    """Return whether two values mean the same: null is false, and one is as many as there are."""
    if isinstance(ours, list) != isinstance(theirs, list):
        several, one = (ours, theirs) if isinstance(ours, list) else (theirs, ours)
        return bool(several) and all(_is_alike(each, one) for each in several)
    values = [None if each is False else each for each in (ours, theirs)]
    return canonical_json(values[0]) == canonical_json(values[1])
