"""A single file as a pipeline's folder in diffusers' layout, made by diffusers' own loader."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.files import PIPELINE_FILE, SMALL_FILES, assets_folder
from styledag.models.quiet import quiet_diffusers, quiet_transformers
from styledag.models.single_file import names
from styledag.models.single_file.configurations import ARCHITECTURES, write_configuration
from styledag.models.single_file.recognise import (
    check_marked_training,
    check_whole,
    recognise,
    stated_training,
)
from styledag.store.files import storage_errors
from styledag.store.items import item_key
from styledag.tensors.layout import CONFIG_FILE, FILE_SUFFIXES, is_weights

if TYPE_CHECKING:
    from torch import Tensor

    from styledag.tensors.reader import TensorReader

_CODE = 2
"""Raise it when the same file gives another folder."""
_FOLDER = "pipeline"
_SCHEDULER = "scheduler/scheduler_config.json"
_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
_XL_PIPELINE = "StableDiffusionXLPipeline"


def single_file_folder(path: Path, *, config: str | None, project: Path) -> Path:
    """Return a folder with a single file's pipeline, made at the first call and kept.

    It lies in the assets of the Hub's cache, and may be removed at any time. The weights' dtype is
    the file's, or float32 where the file mixes several.

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
    if path.suffix.lower() not in FILE_SUFFIXES:
        is_gguf = path.suffix.lower() == ".gguf"
        raise ModelError(
            f"{path} is no {FILE_SUFFIXES[0]} file, and GGUF's quantised weights are not read: "
            "name the model that it was made from"
            if is_gguf
            else f"{path} is no {FILE_SUFFIXES[0]} file, and pickled checkpoints are not read, "
            "since they can run code: convert it to safetensors, or name a folder in diffusers' "
            "layout"
        )
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

    with open_tensors(path) as reader:
        if given is not None:
            for each in _small(given):
                copy = folder / each.relative_to(given)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(each, copy)
            scheduler = read_config(folder / _SCHEDULER)
            check_marked_training(reader, scheduler, str(given / _SCHEDULER))
        elif config is not None:
            write_configuration(config, folder, scheduler=stated_training(reader, config))
        else:
            found = recognise(reader)
            write_configuration(found.architecture, folder, scheduler=found.scheduler)
        index = json.loads((folder / PIPELINE_FILE).read_bytes())
        is_xl = index.get("_class_name") == _XL_PIPELINE
        check_whole(reader, xl=is_xl)
        with _misfits(path, config), quiet_transformers(), quiet_diffusers():
            read = names.read_names(reader.specs)
            _check_complete(reader, read, folder)
            tensors = {name: reader.read(file_name) for name, file_name in read.items()}
            check_finite(tensors, path)
            parts = _loaded(tensors, folder, xl=is_xl)
        with quiet_transformers():
            for name, part in parts.items():
                kept = {each: each.read_bytes() for each in (folder / name).glob("*.json")}
                part.save_pretrained(folder / name, safe_serialization=True)
                # Ours, which do not change with the version of diffusers that saves.
                for each, content in kept.items():
                    each.write_bytes(content)


def _loaded(tensors: "dict[str, Tensor]", folder: Path, *, xl: bool) -> Mapping[str, Any]:
    """Return the models of a file's tensors, by part.

    Each by itself, and not by a pipeline: that would judge the scheduler too.
    """
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    dtypes = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    options = {
        "config": str(folder),
        "local_files_only": True,
        "torch_dtype": dtypes.pop() if len(dtypes) == 1 else torch.float32,
    }
    texts = {"text_encoder": CLIPTextModel}
    if xl:
        texts["text_encoder_2"] = CLIPTextModelWithProjection
    return {
        "unet": UNet2DConditionModel.from_single_file(tensors, subfolder="unet", **options),
        "vae": AutoencoderKL.from_single_file(tensors, subfolder="vae", **options),
        **{
            part: create_diffusers_clip_model_from_ldm(kind, tensors, part, **options)
            for part, kind in texts.items()
        },
    }


@contextmanager
def _misfits(path: Path, config: str | None) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, SafetensorError) as exc:
        against = "the configurations of its architecture" if config is None else repr(config)
        raise ModelError(
            f"{path} does not fit {against} ({type(exc).__name__}: {exc}): give a folder with the "
            "configurations of the model that it was made from under config, such as "
            "{model: file.safetensors, config: path/to/folder}"
        ) from exc


def _check_complete(reader: "TensorReader", read: Mapping[str, str], folder: Path) -> None:
    """Check that a file has every tensor of the configured models, and no other of the UNet.

    A loader may pass over either. A text encoder has layers that are not read, an old autoencoder
    its loss; but what a UNet has besides decides what it predicts: guidance that it was distilled
    with, or layers between its images.
    """
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    configs = {
        part: json.loads((folder / part / CONFIG_FILE).read_bytes())
        for part in _PARTS
        if (folder / part).is_dir()
    }
    made: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "unet": UNet2DConditionModel.from_config,
        "vae": AutoencoderKL.from_config,
        "text_encoder": lambda config: CLIPTextModel(CLIPTextConfig(**config)),
        "text_encoder_2": lambda config: CLIPTextModelWithProjection(CLIPTextConfig(**config)),
    }
    known = set()
    for part, config in configs.items():
        with torch.device("meta"):
            tensors = made[part](config).state_dict()
        for file_name in tensors:
            name = names.model_name(part, file_name)
            original = None if name is None else names.original_name(part, name, configs)
            known.add(original)
            if original is not None and original not in read:
                raise ModelError(
                    f"{reader.path} lacks tensor {original!r} of the {part}: fetch or copy the "
                    "file again, or give a folder with configurations that fit it under config"
                )
    further = sorted(name for name in read.keys() - known if name.startswith(names.UNET_PREFIX))
    if further:
        raise ModelError(
            f"{reader.path} has tensor {further[0]!r} ({len(further)} such tensors in all), which "
            "the UNet of its architecture has not: it is of another kind (distilled, or with "
            "layers of an extension): name another base, or give a folder with configurations "
            "that fit it under config"
        )
