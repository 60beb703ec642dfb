"""A single file as a pipeline's folder in diffusers' layout, made by diffusers' own loader."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.files import PIPELINE_FILE, SMALL_FILES, assets_folder
from styledag.models.quiet import quiet_diffusers, quiet_transformers
from styledag.models.single_file import names
from styledag.models.single_file.configurations import ARCHITECTURES, write_configuration
from styledag.models.single_file.quantised import is_text, read_weight, stored_dtype
from styledag.models.single_file.recognise import (
    T5,
    check_format,
    check_marked_training,
    check_whole,
    has_t5,
    recognise,
    stated_training,
)
from styledag.store.files import storage_errors
from styledag.store.items import item_key
from styledag.tensors.layout import CONFIG_FILE, is_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from styledag.tensors.reader import TensorReader

_CODE = 2
"""Raise it when the same file gives another folder."""
_FOLDER = "pipeline"
_SCHEDULER = "scheduler/scheduler_config.json"
_PARTS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", T5)


def single_file_folder(path: Path, *, config: str | None, project: Path) -> Path:
    """Return a folder with a single file's pipeline, made at the first call and kept.

    It lies in the assets of the Hub's cache, and may be removed at any time. The weights' dtype is
    the file's, or float32 where the file mixes several; T5 has its own. Text encoders in float8
    become float16. A Stable Diffusion 3.x without T5 is a base without it.

    Args:
        path: A safetensors file with the tensor names of the original checkpoints.
        config: An architecture's name, or a folder in diffusers' layout with configurations,
            tokenizers and scheduler, whose weights are not read; what the file itself shows when
            left out.
        project: Folder that ``config`` is relative to.

    Raises:
        ModelError: If the file cannot be read, is of another kind, does not fit the
            configurations, or contains NaN; with the remedy.
        StorageError: If the folder cannot be written.
    """
    check_format(path)
    given = _given(config, project)
    key = item_key(code=_CODE, file=_state([path]), config=config, given=_state(_small(given)))
    assets = assets_folder("single_files", key)
    folder = assets / _FOLDER
    if not folder.is_dir():
        with (
            storage_errors(str(assets)),
            tempfile.TemporaryDirectory(dir=assets, prefix=".partial-") as scratch,
        ):
            whole = Path(scratch) / _FOLDER
            _write(path, whole, config, given)
            if not folder.is_dir():  # another process may have been faster
                whole.rename(folder)
    return folder


def _given(config: str | None, project: Path) -> Path | None:
    """Return the folder that ``config`` names, if it names no architecture."""
    if config is None or config in ARCHITECTURES:
        return None
    folder = project / config
    if not (folder / PIPELINE_FILE).is_file():
        raise ModelError(
            f"config is {config!r}, but must be {', '.join(ARCHITECTURES)}, or a folder in "
            f"diffusers' layout with {PIPELINE_FILE}"
        )
    return folder


def _small(folder: Path | None) -> list[Path]:
    """Return a pipeline's configurations and tokenizers."""
    if folder is None:
        return []
    return [
        path
        for path in sorted((*folder.glob("*"), *folder.glob("*/*")))
        if path.name.endswith(SMALL_FILES) and not is_weights(path.name)
    ]


def _state(paths: list[Path]) -> list[list[Any]]:
    stats = ((path.resolve(), path.stat()) for path in paths)
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]


def _write(path: Path, folder: Path, config: str | None, given: Path | None) -> None:
    from styledag.tensors.finite import check_finite
    from styledag.tensors.reader import open_tensors

    with open_tensors(path, eight_bits=is_text) as reader:
        _write_configuration(reader, folder, config, given)
        index = read_config(folder / PIPELINE_FILE)
        check_whole(reader, str(index.get("_class_name")))
        read = names.read_names(reader.specs, path)
        with _misfits(path, config), quiet_transformers(), quiet_diffusers():
            models = _made(folder, index)
            originals = _check_complete(reader, read, models, folder)
            dtypes = _dtypes(reader, read, originals)
        for part, model in models.items():
            with _misfits(path, config), quiet_transformers(), quiet_diffusers():
                tensors = {name: read_weight(reader, name, read[name]) for name in originals[part]}
                check_finite(tensors, path)
                loaded = _loaded(part, model, tensors, folder, dtypes[part])
                # Ours, which do not change with the version of diffusers that saves.
                kept = {each: each.read_bytes() for each in (folder / part).glob("*.json")}
            with quiet_transformers():
                loaded.save_pretrained(folder / part, safe_serialization=True)
            for each, content in kept.items():
                each.write_bytes(content)


def _write_configuration(
    reader: "TensorReader", folder: Path, config: str | None, given: Path | None
) -> None:
    """Write the configurations, tokenizers and scheduler that a file's weights go with."""
    if given is None and config is None:
        found = recognise(reader)
        architecture, scheduler = found.architecture, found.scheduler
    elif given is None:
        architecture, scheduler = str(config), stated_training(reader, str(config))
    else:
        for each in _small(given):
            copy = folder / each.relative_to(given)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each, copy)
        check_marked_training(reader, read_config(folder / _SCHEDULER), str(given / _SCHEDULER))
        if not has_t5(reader):
            _remove_t5(folder)
        return
    write_configuration(architecture, folder, scheduler=scheduler, with_t5=has_t5(reader))


def _remove_t5(folder: Path) -> None:
    """Make a pipeline's configurations those of a base without T5, if they have one."""
    index = read_config(folder / PIPELINE_FILE)
    absent = {part: [None, None] for part in (T5, "tokenizer_3") if part in index}
    for part in absent:
        shutil.rmtree(folder / part, ignore_errors=True)
    if absent:
        text = json.dumps({**index, **absent}, indent=2, sort_keys=True)
        (folder / PIPELINE_FILE).write_text(text + "\n")


def _made(folder: Path, index: Mapping[str, Any]) -> "dict[str, nn.Module]":
    """Return the configured models by part, on the meta device."""
    import diffusers
    import torch
    import transformers

    models = {}
    for part in _PARTS:
        if not (folder / part / CONFIG_FILE).is_file():
            continue
        config = read_config(folder / part / CONFIG_FILE)
        library, kind = index.get(part) or (None, None)
        if kind is None:  # the base does not use it
            continue
        with torch.device("meta"):
            if library == "diffusers":
                models[part] = getattr(diffusers, kind).from_config(dict(config))
            else:
                made = getattr(transformers, kind)
                models[part] = made(made.config_class(**config))
    return models


def _dtypes(
    reader: "TensorReader", read: Mapping[str, str], originals: Mapping[str, list[str]]
) -> "dict[str, torch.dtype]":
    """Return the dtype of each part: T5's own, and one of all others."""
    import torch

    def common(file_names: Iterable[str]) -> "torch.dtype":
        found = {stored_dtype(reader.specs[name].dtype) for name in file_names} - {None}
        return found.pop() or torch.float32 if len(found) == 1 else torch.float32

    kept = {part: {read[name] for name in each} for part, each in originals.items()}
    sd3_texts = {name for name in read.values() if name.startswith(names.SD3_TEXTS)}
    beside = set(read.values()) - sd3_texts
    others = common(beside.union(*(each for part, each in kept.items() if part != T5)))
    return {part: common(each) if part == T5 else others for part, each in kept.items()}


def _loaded(
    part: str, model: Any, tensors: "dict[str, Tensor]", folder: Path, dtype: "torch.dtype"
) -> Any:
    """Return a part's model with a file's tensors.

    Each by itself, and not by a pipeline: that would judge the scheduler too.
    """
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm

    options = {"config": str(folder), "local_files_only": True, "torch_dtype": dtype}
    if part == T5:
        # diffusers' own function demands the one embedding by both names, and widens some layers.
        state = {name.removeprefix(names.SD3_PREFIXES[T5]): each for name, each in tensors.items()}
        state[names.T5_EMBEDDING_AGAIN] = state[names.T5_EMBEDDING]
        model.load_state_dict(state, assign=True)
        return model.to(dtype)
    if part.startswith("text_encoder"):
        return create_diffusers_clip_model_from_ldm(type(model), tensors, part, **options)
    return type(model).from_single_file(tensors, subfolder=part, **options)


@contextmanager
def _misfits(path: Path, config: str | None) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (
        *(OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError),
        SafetensorError,
    ) as exc:
        against = "the configurations of its architecture" if config is None else repr(config)
        raise ModelError(
            f"{path} does not fit {against} ({type(exc).__name__}: {exc}): give a folder with the "
            "configurations of the model that it was made from under config, such as "
            "{model: file.safetensors, config: path/to/folder}"
        ) from exc


def _check_complete(
    reader: "TensorReader", read: Mapping[str, str], models: "Mapping[str, nn.Module]", folder: Path
) -> dict[str, list[str]]:
    """Return the original names of the configured models' tensors, by part; a file has them all.

    And no other of the denoiser. A loader may pass over either. A text encoder has layers that are
    not read, an old autoencoder its loss; but what a denoiser has besides decides what it
    predicts: guidance that it was distilled with, or layers between its images.
    """
    configs = {part: read_config(folder / part / CONFIG_FILE) for part in models}
    originals: dict[str, list[str]] = {}
    for part, model in models.items():
        found = dict.fromkeys(
            names.original_name(part, name, configs)
            for file_name in model.state_dict()
            if (name := names.model_name(part, file_name)) is not None
        )
        if part == "text_encoder" and "transformer" in models:
            # That of the first CLIP is 1 in 3.x: diffusers makes it, and ComfyUI reads none.
            found.pop(names.SD3_PREFIXES[part] + names.TEXT_PROJECTION, None)
        for original in found:
            if original not in read:
                raise ModelError(
                    f"{reader.path} lacks tensor {original!r} of the {part}: fetch or copy the "
                    "file again, or give a folder with configurations that fit it under config"
                )
        originals[part] = list(found)
    known = {original for each in originals.values() for original in each}
    further = sorted(name for name in read.keys() - known if name.startswith(names.UNET_PREFIX))
    if further:
        raise ModelError(
            f"{reader.path} has tensor {further[0]!r} ({len(further)} such tensors in all), which "
            "the denoiser of its architecture has not: it is of another kind (distilled, or with "
            "layers of an extension): name another base, or give a folder with configurations "
            "that fit it under config"
        )
    return originals
