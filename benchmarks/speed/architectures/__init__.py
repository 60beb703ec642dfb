"""Configurations of the bases that people train, without their weights: one file a base.

Sizes are those of the published bases; a small scale has fewer and narrower blocks, for a CPU.
"""

import importlib
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.speed.architectures.parts import Architecture


def _all() -> dict[str, Architecture]:
    names = [each.name for each in pkgutil.iter_modules(__path__) if each.name != "parts"]
    found = {
        name.replace("_", "-"): importlib.import_module(f"{__name__}.{name}").ARCHITECTURE
        for name in names
    }
    return dict(sorted(found.items(), key=lambda each: each[1].billions))


ARCHITECTURES: Mapping[str, Architecture] = _all()
"""Each base by its name in ``styledag new``, which is its file's; the smallest first."""


def write_architecture(name: str, folder: Path, *, small: bool) -> Path:
    """Write the configurations of a base, and return the folder.

    Args:
        name: One of :data:`ARCHITECTURES`.
        folder: Made.
        small: Whether it is scaled down for a CPU.
    """
    for path, config in ARCHITECTURES[name].files(small).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return folder
