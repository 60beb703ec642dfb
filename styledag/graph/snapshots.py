"""The list of checkpoints that a model keeps of its training."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from styledag.store.artifact import Artifact

SNAPSHOTS_FILE = "snapshots.json"


@dataclass(frozen=True, kw_only=True)
class StoredSnapshot:
    """One checkpoint of a model.

    Attributes:
        epoch: Epochs passed.
        step: Optimiser steps taken.
        loss: Mean training loss over the epoch.
        validation_loss: Loss on the validation split; ``None`` without one.
        validation_bands: The same in each equal part of the timesteps, least noise first.
        base_share: Share of the base that the average still holds.
        partition: Partition of ``checkpoint`` in the store.
        version: Version of the checkpoint.
    """

    epoch: int
    step: int
    loss: float
    validation_loss: float | None
    validation_bands: tuple[float, ...]
    base_share: float
    partition: str
    version: str


def read_snapshots(model: Artifact) -> list[StoredSnapshot]:
    """Return the checkpoints of an ``ema_unet``, by rising epoch."""
    content = (model.folder / SNAPSHOTS_FILE).read_text(encoding="utf-8")
    return [StoredSnapshot(**each) for each in json.loads(content)]


def link_tree(source: Path, target: Path) -> None:
    """Give a folder's files a second name, so that gigabytes are not written twice."""
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
