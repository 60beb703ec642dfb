"""Write a pipeline as a folder in diffusers' layout, with tuned parts in place of the base's."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.files import Listing, files_read
from styledag.publishing.model_file import DType, cast_finite
from styledag.publishing.target_folder import target_folder
from styledag.store.artifact import Facts

INDEX = "model_index.json"
_OPTIONAL = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts without which a pipeline draws the same images, and which styledag does not download."""


def export_pipeline(
    pipeline: Path,
    to: Path,
    *,
    replaced: Mapping[str, Path],
    dtype: DType | None = None,
    provenance: Mapping[str, Mapping[str, str]] | None = None,
) -> Facts:
    """Write a whole pipeline that diffusers' ``from_pretrained`` loads and return its facts.

    Of the base, the parts that its ``model_index.json`` names are written: configurations,
    tokenizers, and the weights that are read of each, without variants and other files beside them.
    A safety checker or image encoder that is not in the folder is left out. Weights are read, cast
    and written in pieces. The folder appears whole.

    Args:
        pipeline: Folder of the base, of any family of diffusers.
        to: Folder to write; an empty one or an earlier export is replaced.
        replaced: Folder by the part that it replaces, such as ``{"unet": ...}``.
        dtype: Of all weights; as they are when left out.
        provenance: By part, further strings for the headers of its weights.

    Raises:
        ModelError: If the base is no pipeline, lacks a part, or a weight does not fit the dtype.
        StorageError: If the folder contains anything else, or cannot be written.
    """
    index, parts = _composed(pipeline, replaced)
    parameters = {}
    with target_folder(to) as partial:
        (partial / INDEX).write_text(index, encoding="utf-8")
        for part, folder in parts.items():
            parameters[part] = _write_part(
                folder, partial / part, dtype, (provenance or {}).get(part, {})
            )
    files = [path for path in to.rglob("*") if path.is_file()]
    return {
        "parameters": sum(parameters.values()),
        "bytes": sum(path.stat().st_size for path in files),
        **{part: count for part, count in parameters.items() if count},
    }


def link_pipeline(pipeline: Path, to: Path, *, replaced: Mapping[str, Path]) -> None:
    """Make a folder that loads as a pipeline with replaced parts, of links to their folders.

    Raises:
        ModelError: If the base is no pipeline.
    """
    index, parts = _composed(pipeline, replaced)
    (to / INDEX).write_text(index, encoding="utf-8")
    for part, folder in parts.items():
        (to / part).symlink_to(folder.absolute())


def _composed(pipeline: Path, replaced: Mapping[str, Path]) -> tuple[str, dict[str, Path]]:
    """Return the index of a pipeline with replaced parts, and the folder of each of its parts."""
    index = dict(read_config(pipeline / INDEX))
    for part in _OPTIONAL:
        if part in index and not (pipeline / part).is_dir():
            index[part] = [None, None]
    parts = [name for name, value in index.items() if _is_part(value)]
    unknown = sorted(replaced.keys() - set(parts))
    if unknown:
        raise ModelError(
            f"{pipeline / INDEX} names no part {unknown[0]!r}, but {', '.join(parts)}: replace "
            "one of these"
        )
    folders = {part: replaced.get(part, pipeline / part) for part in parts}
    return json.dumps(index, indent=2) + "\n", folders


def _is_part(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[0] is not None


def _write_part(folder: Path, to: Path, dtype: DType | None, provenance: Mapping[str, str]) -> int:
    """Write one part; return the number of its parameters."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is missing: name a pipeline in diffusers' layout")
    to.mkdir()
    # What is read of a base is written of it: a part that is exported is the one that was trained.
    parameters = 0
    for name, plain_name in sorted(files_read(Listing.of_folder(folder), ("",)).items()):
        path = to / plain_name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            parameters += _write_weights(folder / name, path, dtype, provenance)
        else:
            shutil.copyfile(folder / name, path)
    return parameters


def _write_weights(path: Path, to: Path, dtype: DType | None, provenance: Mapping[str, str]) -> int:
    import torch

    from styledag.tensors.reader import TensorSpec, open_tensors
    from styledag.tensors.writer import in_file_order, write_tensors

    with open_tensors(path) as reader:
        wanted = None if dtype is None else getattr(torch, dtype)
        specs = {
            name: TensorSpec(
                name, wanted if wanted and spec.dtype.is_floating_point else spec.dtype, spec.shape
            )
            for name, spec in reader.specs.items()
        }
        ordered = in_file_order(specs.values())
        write_tensors(
            to,
            ordered,
            {**reader.metadata, **provenance, "format": "pt"},
            lambda spec, start, stop: cast_finite(
                reader.read(spec.name, start, stop), spec.dtype, f"{path.parent.name}.{spec.name}"
            ),
        )
        return sum(spec.numel for spec in ordered)
