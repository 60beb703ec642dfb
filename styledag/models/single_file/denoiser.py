"""The denoiser of a single file under diffusers' names, in place of a base's own."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.files import assets_folder
from styledag.models.single_file.names import UNET_PREFIX, unet_name
from styledag.models.single_file.quantised import check_weight
from styledag.models.single_file.recognise import (
    MARKS,
    check_discrete,
    check_format,
    check_marked_training,
    is_adapter,
)
from styledag.store.files import storage_errors
from styledag.store.items import item_key
from styledag.tensors.layout import CONFIG_FILE, FILE_SUFFIXES, WEIGHTS_FILE

if TYPE_CHECKING:
    from torch import Tensor, nn

    from styledag.tensors.reader import TensorReader

_CODE = 1
"""Raise it when the same file gives another one."""
_PREFIXES = (UNET_PREFIX, "transformer.")
"""What the denoiser's names may start with in a file."""


def check_denoiser_file(path: Path) -> None:
    """Check that a file may hold a denoiser, by its header alone and before its base is fetched.

    Raises:
        ModelError: If it is missing, no safetensors file, or an adapter such as a LoRA.
    """
    from styledag.tensors.reader import open_tensors

    check_format(path)
    if not path.is_file():
        raise ModelError(
            f"denoiser {path} is not there: name a {FILE_SUFFIXES[0]} file, or remove denoiser to "
            "train the base's own"
        )
    with open_tensors(path, choose=_chosen) as reader:
        if is_adapter(reader.specs):
            raise ModelError(
                f"denoiser {path} is a LoRA or the like, which changes a denoiser and is "
                "none: name the whole model"
            )


def check_denoiser(path: Path, config: Path) -> None:
    """Check that a file's denoiser is that of a base, by its header alone.

    Raises:
        ModelError: If a tensor is missing, of another shape, or one too many.
    """
    from styledag.tensors.reader import open_tensors

    check_denoiser_file(path)
    with open_tensors(path, choose=_chosen) as reader:
        _converted(reader, config, meta=True)


def check_denoiser_training(path: Path, scheduler: Path) -> None:
    """Check that a file's denoiser was not trained otherwise than a base's scheduler states.

    Args:
        path: A safetensors file.
        scheduler: The scheduler's configuration.

    Raises:
        ModelError: If its marking tensors contradict the scheduler.
    """
    from styledag.tensors.reader import open_tensors

    with open_tensors(path, choose=_chosen) as reader:
        check_discrete(reader)
        check_marked_training(reader, read_config(scheduler), f"the base's {scheduler}")


def denoiser_folder(path: Path, config: Path) -> Path:
    """Return a folder with a file's denoiser under diffusers' names, made once and kept.

    It lies in the assets of the Hub's cache, and may be removed at any time. Of a file with a whole
    model, the denoiser alone is read. Its dtypes are the file's.

    Args:
        path: A safetensors file, with the names of the original checkpoints or diffusers'.
        config: Folder of the base's denoiser, of which ``config.json`` is read.

    Raises:
        ModelError: If it does not fit the base, is damaged, or holds NaN.
        StorageError: If the folder cannot be written.
    """
    from safetensors.torch import save_file

    from styledag.tensors.finite import check_finite
    from styledag.tensors.reader import open_tensors

    check_denoiser(path, config)
    stat = path.stat()
    state = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
    key = item_key(code=_CODE, file=state, config=read_config(config / CONFIG_FILE))
    folder = assets_folder("denoisers", key)
    whole = folder / WEIGHTS_FILE
    if whole.is_file():
        return folder
    with open_tensors(path, choose=_chosen) as reader:
        tensors = _converted(reader, config, meta=False)
        check_finite(tensors, path)
        partial = whole.with_name(f"{WEIGHTS_FILE}.partial")
        with storage_errors(str(folder)):
            save_file({name: each.contiguous() for name, each in tensors.items()}, partial)
            partial.replace(whole)
    return folder


def _prefix(names: Collection[str]) -> str:
    """Return what the denoiser's names in a file start with; empty where the file has no other."""
    counts = {each: sum(name.startswith(each) for name in names) for each in _PREFIXES}
    prefix = max(counts, key=counts.__getitem__)
    return prefix if counts[prefix] else ""


def _chosen(names: Collection[str]) -> list[str]:
    """Return the names of the denoiser in a file, and of the marks of its training.

    Text encoders beside it are often 8-bit, which are not read.
    """
    prefix = _prefix(names)
    return [name for name in names if name.startswith(prefix) or name in MARKS]


def _converted(reader: "TensorReader", config: Path, *, meta: bool) -> "dict[str, Tensor]":
    """Return a file's denoiser by diffusers' names; of the header's shapes alone on ``meta``."""
    import torch
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

    for name, spec in reader.specs.items():
        if name not in MARKS:
            check_weight(reader.path, spec)
    settings = read_config(config / CONFIG_FILE)
    kind = str(settings.get("_class_name"))
    prefix = _prefix(reader.specs)
    own = {
        name.removeprefix(prefix): torch.empty(spec.shape, dtype=spec.dtype, device="meta")
        if meta
        else reader.read(name)
        for name, spec in reader.specs.items()
        if name.startswith(prefix) and name not in MARKS
    }
    expected = {
        name: tuple(each.shape) for name, each in _made(kind, settings).state_dict().items()
    }
    if own.keys() == expected.keys():
        converted = own
    else:
        stated = SINGLE_FILE_LOADABLE_CLASSES.get(kind)
        if stated is None:
            raise ModelError(
                f"the base's denoiser is a {kind}, of which diffusers reads no single files: "
                "remove denoiser, or name a base of another family"
            )
        # Of all converters, that of UNets alone demands the prefix.
        named = {UNET_PREFIX + name: each for name, each in own.items()} if "UNet" in kind else own
        try:
            if "UNet" in kind:
                further = named.keys() - {unet_name(name, settings) for name in expected}
                if further:  # which the converter would drop
                    raise KeyError(f"{min(further)!r} is no layer of the base's UNet")
            converted = dict(stated["checkpoint_mapping_fn"](checkpoint=named, config=settings))
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as exc:
            raise _misfit(reader, config, kind, f"{type(exc).__name__}: {exc}") from exc
    for name in sorted(expected.keys() | converted.keys()):
        found = converted.get(name)
        if found is None or tuple(found.shape) != expected.get(name):
            has = "no such tensor" if found is None else f"shape {tuple(found.shape)}"
            wants = expected.get(name, "none")
            raise _misfit(reader, config, kind, f"{name!r}: the file has {has}, the base {wants}")
    return converted


def _misfit(reader: "TensorReader", config: Path, kind: str, what: str) -> ModelError:
    return ModelError(
        f"{reader.path} has no denoiser of the base {config.parent} ({kind}; {what}): name the "
        "base that the file was made from, or a file of this base"
    )


def _made(kind: str, settings: Mapping[str, Any]) -> "nn.Module":
    import diffusers
    import torch

    with torch.device("meta"):
        model: nn.Module = getattr(diffusers, kind).from_config(dict(settings))
    return model
