"""Runs everything in a process that kills itself with SIGKILL in the middle of a stage."""

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from styledag.project import Project
from styledag.store.items import Items
from styledag.store.store import Store
from styledag.tensors.writer import PartialFile
from styledag.training.optimising.optimisation import Optimisation
from styledag.training.snapshots import saving
from styledag_tests.whole.small_project import run_all

_LIBRARIES = (
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.models.unets.unet_2d_condition",
    "transformers.models.blip.modeling_blip",
    "transformers.models.clip.modeling_clip",
)
"""Imported once, by the process that all others are forked from."""


def killed_at(root: Path, place: str, count: int, *, in_background: bool = False) -> int | None:
    """Run the project's style in a process of its own, and return how that ended.

    It dies at the ``count``-th time that ``place`` is reached, before that call does anything.
    If ``in_background``, a thread publishes checkpoints while it trains on, as on a GPU.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, *_LIBRARIES])
    process = context.Process(target=_run, args=(root, place, count, in_background))
    process.start()
    process.join()
    return process.exitcode


def _run(root: Path, place: str, count: int, in_background: bool) -> None:
    if in_background:
        saving.trains_meanwhile = lambda _: True
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
