"""Which family a base belongs to, by its ``model_index.json`` and before anything else is read."""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import styledag.bases
from styledag.bases.base import Base
from styledag.bases.families import FAMILIES, Family
from styledag.errors import ModelError
from styledag.models.config import read_config

INDEX = "model_index.json"


def find_base(folder: Path) -> Base:
    """Return the base in a folder; of its files only ``model_index.json`` is read.

    A module of this package whose class is registered by :func:`~styledag.bases.families.family` is
    all that a new family needs.

    Raises:
        ModelError: If there is no such file, or it names a pipeline or a part of a kind that
            cannot be fine-tuned; the message names it and the families that can.
    """
    if not (folder / INDEX).is_file():
        raise ModelError(
            f"{folder} holds no {INDEX}: name a base in diffusers' layout ({_supported()})"
        )
    index = read_config(folder / INDEX)
    pipeline = index.get("_class_name")
    if pipeline is None:
        raise ModelError(
            f"{folder / INDEX} names no _class_name: restore it, or name a base in diffusers' "
            f"layout ({_supported()})"
        )
    found = _families().get(str(pipeline))
    if found is None:
        raise ModelError(
            f"{folder} is a {pipeline} by its {INDEX}, which cannot be fine-tuned: name a base of "
            f"a family that can ({_supported()})"
        )
    _check_components(folder, index, found)
    return found.make(folder)


def _check_components(folder: Path, index: Mapping[str, Any], family: Family) -> None:
    for part, known in family.components.items():
        stated = index.get(part)
        kind = stated[-1] if isinstance(stated, list) and stated else stated
        if kind not in known:
            raise ModelError(
                f"{folder} has a {part} of class {kind} by its {INDEX}, but {family.name} has "
                f"{' or '.join(filter(None, known))}: name another base ({_supported()})"
            )


def _families() -> Mapping[str, Family]:
    for module in pkgutil.iter_modules(styledag.bases.__path__, f"{styledag.bases.__name__}."):
        importlib.import_module(module.name)
    return FAMILIES


def _supported() -> str:
    return ", ".join(f"{each.name}: {pipeline}" for pipeline, each in _families().items())
