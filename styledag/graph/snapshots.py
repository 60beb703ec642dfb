"""The list of checkpoints that a model keeps of its training."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from styledag.store.artifact import Artifact
from styledag.store.digest import content_version

SNAPSHOTS_FILE = "snapshots.json"
_UNET_PREFIX = "unet/"


@dataclass(frozen=True, kw_only=True)
class StoredSnapshot:
    """One checkpoint of a model.

    Attributes:
        epoch: Epochs passed.
        step: Optimiser steps taken.
        loss: Mean training loss over the epoch.
        validation_loss: Loss on the validation split; ``None`` without one.
        base_share: Share of the base that the average still holds.
        partition: Partition of ``checkpoint`` in the store.
        version: Version of the checkpoint.
        unet_version: Version of its UNet alone, which pictures are remembered by.
    """

    epoch: int
    step: int
    loss: float
    validation_loss: float | None
    base_share: float
    partition: str
    version: str
    unet_version: str


def read_snapshots(model: Artifact) -> list[StoredSnapshot]:
    """Return the checkpoints of an ``ema_unet``, by rising epoch."""
    content = (model.folder / SNAPSHOTS_FILE).read_text(encoding="utf-8")
    return [StoredSnapshot(**each) for each in json.loads(content)]


def unet_version(files: Mapping[str, str]) -> str:
    """Return the version of the UNet folder inside an artifact with these files' digests."""
    return content_version(
        {
            name.removeprefix(_UNET_PREFIX): digest
            for name, digest in files.items()
            if name.startswith(_UNET_PREFIX)
        }
    )


def link_tree(source: Path, target: Path) -> None:
    """Give a folder's files a second name, so that gigabytes are not written twice."""
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
