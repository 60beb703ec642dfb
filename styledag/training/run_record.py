"""The recipe, versions and device that a run begins with, written before its first step."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from styledag.models.compute import Compute
from styledag.store.files import replaced
from styledag.training.recipe import Recipe

LOG_FOLDER = "log"
"""Below a run's scratch folder: its record, and its loggers' files."""
RUN_FILE = "run.json"
_PACKAGES = ("styledag", "torch", "diffusers", "safetensors", "peft", "bitsandbytes")


def environment(compute: Compute) -> dict[str, str]:
    """Return versions and device that a run depends on without its content naming them."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": str(compute.device),
        "dtype": str(compute.dtype).removeprefix("torch."),
        **{name: found for name in _PACKAGES if (found := _version(name))},
    }


def write_run_record(
    folder: Path, recipe: Recipe, compute: Compute, *, facts: Mapping[str, Any]
) -> None:
    """Write the resolved recipe with its seed, the versions of everything, and further facts.

    Raises:
        StorageError: If the disk is full or cannot be written.
    """
    record = {"recipe": asdict(recipe), "environment": environment(compute), **facts}
    with replaced(folder / RUN_FILE) as partial:
        partial.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
