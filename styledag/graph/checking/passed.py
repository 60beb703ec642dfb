"""What a passed check depends on, so that weights are read once until it changes."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from styledag.graph.catalogue import Catalogue
from styledag.models.compute import ComputeSettings
from styledag.models.files import SMALL_FILES
from styledag.settings import json_digest
from styledag.store.items import item_key
from styledag.style.model import Style
from styledag.tensors.layout import is_weights

_PACKAGES = ("torch", "torchvision", "transformers", "diffusers")


def passed_key(
    catalogue: Catalogue, style: Style, recipes: Sequence[str], compute: ComputeSettings
) -> str:
    """Return the key of a style, its recipes, the device, its base and the models in its blends.

    It is also that of the packages that load models, of which one may be upgraded without another.
    """
    outside = [
        _state(catalogue.configurations(reference)) for reference in style.blends.outside.values()
    ]
    return item_key(
        style=json_digest(style.model_dump(mode="json")),
        recipes=list(recipes),
        device=compute.device,
        base=_state(catalogue.configurations(style.base)),
        packages=[_version(package) for package in _PACKAGES],
        **({"outside": outside} if outside else {}),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _state(folder: Path) -> list[list[Any]]:
    return [
        [path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns]
        for path in _read_files(folder)
    ]


def _read_files(folder: Path) -> list[Path]:
    """Return a base's configurations, tokenizer and weights, which is all that is checked of it."""
    found = ((path, path.name) for path in folder.rglob("*"))
    return sorted(path for path, name in found if name.endswith(SMALL_FILES) or is_weights(name))
