"""The list of checkpoints that a model keeps of its training."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from styledag.errors import StorageError
from styledag.store.artifact import Artifact
from styledag.store.files import replaced

SNAPSHOTS_FILE = "snapshots.json"
TRAINING_LOG = "training_log.json"
BEST_FILE = "best_snapshot.json"
"""Names the epoch that became the model, where that is not the last one."""


@dataclass(frozen=True, kw_only=True)
class StoredSnapshot:
    """One checkpoint of a model.

    Attributes:
        step: Optimiser steps taken.
        loss: Mean training loss over the epoch.
        validation_loss: Loss on the validation split; ``None`` without one.
        validation_bands: The same in each equal part of the timesteps, least noise first.
        base_share: Share of the base that the average still holds.
        partition: Partition of ``checkpoint`` in the store.
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


def read_final(model: Artifact) -> StoredSnapshot:
    """Return the checkpoint that became the model: the last one, or the best where that differs."""
    snapshots = read_snapshots(model)
    best = model.folder / BEST_FILE
    if not best.is_file():
        return snapshots[-1]
    epoch = json.loads(best.read_text(encoding="utf-8"))["epoch"]
    return next(each for each in snapshots if each.epoch == epoch)


def write_snapshots(snapshots: Sequence[StoredSnapshot], final_epoch: int, folder: Path) -> None:
    """Write the checkpoints of a model into its artifact, and which of them it is."""
    write_json(folder / SNAPSHOTS_FILE, [asdict(each) for each in snapshots])
    if final_epoch != snapshots[-1].epoch:
        write_json(folder / BEST_FILE, {"epoch": final_epoch})


def write_json(path: Path, content: object) -> None:
    """Write a value as JSON, one line an entry."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


class PublishedSnapshots:
    """Versions of the checkpoints that a run has published, over kills and resumptions.

    Args:
        folder: Scratch folder of the run, which lasts as long as its training state.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "published_snapshots.json"

    def add(self, epoch: int, checkpoint: Artifact) -> None:
        """Remember a checkpoint, on the disk before this returns."""
        known = {**self._read(), str(epoch): [checkpoint.partition, checkpoint.version]}
        with replaced(self._file) as partial:
            write_json(partial, known)

    def find(self, epoch: int) -> tuple[str, str]:
        """Return partition and version of the checkpoint of an epoch.

        Raises:
            StorageError: If the run did not publish it.
        """
        known = self._read().get(str(epoch))
        if known is None:
            raise StorageError(
                f"{self._file} does not name the checkpoint of epoch {epoch}, which this training "
                f"published: remove {self._file.parent} and train again"
            )
        return known[0], known[1]

    def _read(self) -> dict[str, list[str]]:
        if not self._file.is_file():
            return {}
        known: dict[str, list[str]] = json.loads(self._file.read_text(encoding="utf-8"))
        return known
