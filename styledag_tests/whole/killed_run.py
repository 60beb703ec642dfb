"""Runs everything and kills its own process with SIGKILL in the middle of a stage.

Usage: python -m styledag_tests.whole.killed_run PROJECT PLACE COUNT

Dies at the COUNT-th time that PLACE is reached, before that call does anything.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from styledag.project import Project
from styledag.store.items import Items
from styledag.store.store import Store
from styledag.tensors.writer import PartialFile
from styledag.training.optimising.optimisation import Optimisation
from styledag_tests.whole.small_project import run_all


def main(root: Path, place: str, count: int) -> None:
    """Run the project's style until the place is reached."""
    if place == "train":
        _die_at(Optimisation, "step", count)
    elif place == "merge":
        _die_at(PartialFile, "write", count)
    elif place.startswith("publish "):
        asset = place.removeprefix("publish ")
        _die_at(Store, "_publish", count, lambda _store, target, *_: target.asset == asset)
    else:
        _die_at(Items, "put", count, lambda _items, namespace, *_: namespace == place)
    os.chdir(root)
    run_all(Project.at(root))


def _die_at(
    owner: type[Any], method: str, count: int, concerns: Callable[..., bool] = lambda *_: True
) -> None:
    original = getattr(owner, method)
    reached = 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal reached
        reached += concerns(*args)
        if reached == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, method, dying)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
