"""Which files of a folder are its weights: one file or shards, of one variant, in safetensors.

diffusers and transformers save ``STEM[.VARIANT].safetensors``, or, above a size, shards
``STEM[.VARIANT]-00001-of-00002.safetensors`` beside an index
``STEM.safetensors.index[.VARIANT].json`` whose ``weight_map`` names the shard of each tensor. Of
diffusers 0.29 and 0.30, shards end in ``-00001-of-00002.VARIANT.safetensors``, and their index may
be ``STEM.safetensors.VARIANT.index.json``.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from styledag.errors import ModelError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
"""Name of the weights that styledag itself writes, which diffusers finds in a part's folder."""

TRANSFORMERS_WEIGHTS_FILE = "model.safetensors"
"""The same of a model that transformers loads."""

FILE_SUFFIXES = (".safetensors", ".sft")
"""Ends of the names of single files that people share, in small letters."""

DIFFUSERS_LORA_FILE = "pytorch_lora_weights.safetensors"
KOHYA_LORA_FILE = "kohya_lora.safetensors"
"""The same low-rank adapters with the names of kohya's tools."""

_STEMS = ("diffusion_pytorch_model", "model")
_SHARD = r"-\d{5}-of-\d{5}"
_OTHER_FORMATS = (
    *(".bin", ".ckpt", ".pt", ".pth", ".pkl", ".h5", ".msgpack", ".onnx", ".onnx_data", ".pb"),
    *(".tflite", ".gguf", ".ot", ".npz", ".mlmodel"),
)
_CONVERT = (
    "open it where you trust it and save it anew with `save_pretrained(folder)` of diffusers or "
    "transformers, which writes safetensors"
)


@dataclass(frozen=True)
class WeightFiles:
    """The files that hold the weights of one folder.

    Attributes:
        files: Names in the folder: one file, or all shards.
        index: Name of the shards' index; ``None`` for a single file.
        plain_name: Name that the file or the index has without its variant.
    """

    files: tuple[str, ...]
    index: str | None
    plain_name: str

    @property
    def all_names(self) -> tuple[str, ...]:
        """The files and the index."""
        return self.files if self.index is None else (self.index, *self.files)


def choose_weights(
    names: Collection[str],
    where: str,
    *,
    read_index: Callable[[str], bytes],
    variant: str | None = None,
) -> WeightFiles:
    """Return the weights that diffusers or transformers would load from a folder.

    Args:
        names: Names of the folder's files.
        where: The folder, for errors.
        read_index: Returns the content of an index of shards by its name.
        variant: Such as ``fp16``; ``None`` for the files that name none.

    Raises:
        ModelError: If there are none, none of this variant, only another format, or an index that
            is damaged or names a shard that is missing; the message includes the remedy.
    """
    for stem in _STEMS:
        for name in _preferred(stem, variant):
            if name not in names:
                continue
            plain_name = name.replace(f".{variant}.", ".") if variant else name
            if not name.endswith(".json"):
                return WeightFiles((name,), None, plain_name)
            return WeightFiles(_shards(name, names, where, read_index(name)), name, plain_name)
    raise ModelError(_why_missing(names, where, variant))


def is_weights(name: str) -> bool:
    """Return whether a file's name is one of weights, or of their index, in whichever format."""
    name = PurePosixPath(name).name
    index = re.search(r"\.(safetensors|bin|h5|msgpack)(\.\w+)?\.index(\.\w+)?\.json$", name)
    return name.endswith((".safetensors", *_OTHER_FORMATS)) or index is not None


def variants(names: Collection[str]) -> dict[str, str]:
    """Return the variants that a folder's weights come in, each with one of its files."""
    found = {}
    for stem in _STEMS:
        for name in sorted(names):
            match = re.fullmatch(rf"{stem}(?:{_SHARD})?\.(\w+)(?:{_SHARD})?\.safetensors", name)
            if match:
                found[match[1]] = name
    return found


def _preferred(stem: str, variant: str | None) -> tuple[str, ...]:
    """Return the names to look for, the one that the stem's library prefers first."""
    suffix = f".{variant}" if variant else ""
    single, index = f"{stem}{suffix}.safetensors", f"{stem}.safetensors.index{suffix}.json"
    indices = dict.fromkeys((index, f"{stem}.safetensors{suffix}.index.json"))
    # Where both are there, diffusers reads the shards and transformers the single file.
    return (*indices, single) if stem == _STEMS[0] else (single, *indices)


def _shards(index: str, names: Collection[str], where: str, content: bytes) -> tuple[str, ...]:
    shards = sorted(set(shards_by_tensor(content, f"{where}/{index}").values()))
    missing = [name for name in shards if name not in names]
    if missing:
        raise ModelError(
            f"{where}/{missing[0]} is missing, but {index} names it ({len(missing)} of "
            f"{len(shards)} shards missing): fetch or copy it again"
        )
    return tuple(shards)


def shards_by_tensor(content: bytes, path: str) -> dict[str, str]:
    """Return the name of the shard that holds each tensor, from the content of an index.

    Raises:
        ModelError: If it is no such index.
    """
    try:
        return {str(name): str(shard) for name, shard in json.loads(content)["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ModelError(
            f"{path} is no index of shards ({type(exc).__name__}: {exc}): fetch or copy it again"
        ) from exc


def _why_missing(names: Collection[str], where: str, variant: str | None) -> str:
    found = variants(names)
    if variant is not None:
        there = ", ".join(sorted(found)) or "no variant"
        return f"{where} has no safetensors of variant {variant!r} (there: {there})"
    if found:
        name, file = min(found.items(), key=lambda each: (each[0] != "fp16", each[0]))
        return f"{where} has its weights as variant {name} only ({file}): set variant: {name}"
    others = defaultdict(list)
    for name in sorted(names):
        others[PurePosixPath(name).suffix].append(name)
    for suffix in (".bin", ".ckpt", ".pt", ".pth", ".pkl"):
        if suffix in others:
            return (
                f"{where} has its weights as {others[suffix][0]} only, which is a pickle; pickles "
                f"are not read, since they can run code: {_CONVERT}"
            )
    for suffix in (".safetensors", *_OTHER_FORMATS):
        if suffix in others:
            return f"{where} has only {others[suffix][0]}, which is not read: {_CONVERT}"
    return (
        f"{where} has no weights ({WEIGHTS_FILE} or {TRANSFORMERS_WEIGHTS_FILE}): fetch or copy "
        "the model again, or name another"
    )
