"""Stages as they are declared, whose work is a stand-in of milliseconds.

An image is a file ``FAMILY-NAME.txt`` in the project's folder ``news``; its text is its caption.
Everything that decides content decides the stand-ins' content too: settings, files, models and
upstream versions.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from styledag.errors import DataError, SourceError
from styledag.graph.names import epoch_key
from styledag.graph.snapshots import TRAINING_LOG, StoredSnapshot, write_json, write_snapshots
from styledag.graph.stage import Inputs, Stage
from styledag.graph.stages import read_stages
from styledag.images.settings import CurationSettings
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

NEWS = "news"
DOWN = "down"
"""While a project has such a file, its source is down."""
BROKEN = "broken-stage"
"""While a project has such a file, the stage that it names fails."""
IMAGES = "images.json"
DIVERGES = 0.5
"""Learning rate from which on a training's loss is not finite."""


def stand_in_stages() -> list[Stage]:
    """Return every stage of the graph with a stand-in for its work."""
    return [
        replace(stage, run=_failing(stage.name, WORK.get(stage.name, _made)), preview=None)
        for stage in read_stages()
    ]


def _failing(name: str, work: Any) -> Any:
    def run(inputs: Inputs, workspace: Workspace) -> Facts:
        broken = inputs.root / BROKEN
        if broken.is_file() and broken.read_text() == name:
            raise DataError(f"{name} is broken")
        facts: Facts = work(inputs, workspace)
        return facts

    return run


def _collected(inputs: Inputs, workspace: Workspace) -> Facts:
    if (inputs.root / DOWN).exists():
        raise SourceError("the source is down")
    files = sorted((inputs.root / NEWS).glob("*.txt"))
    return _write_images({path.stem: path.read_text() for path in files}, len(files), workspace)


def _passed_on(inputs: Inputs, workspace: Workspace) -> Facts:
    images = _images(inputs)
    return _write_images(images, len(images), workspace)


def _curated(inputs: Inputs, workspace: Workspace) -> Facts:
    found, cap = _images(inputs), inputs.settings.of(CurationSettings).family_cap
    kept: dict[str, str] = {}
    for name, caption in found.items():
        family = name.partition("-")[0]
        if cap is None or sum(each.partition("-")[0] == family for each in kept) < cap:
            kept[name] = caption
    return _write_images(kept, len(found), workspace)


def _captioned(inputs: Inputs, workspace: Workspace) -> Facts:
    images = _images(inputs)
    for path in inputs.files.values():
        by_hand = json.loads(path.read_text())
        images = {name: by_hand.get(name, caption) for name, caption in images.items()}
    return _write_images(images, len(images), workspace)


def _dataset(inputs: Inputs, workspace: Workspace) -> Facts:
    images = _images(inputs)
    table = pa.table({"id": list(images), "text": list(images.values())})
    (workspace.folder / "data").mkdir()
    pq.write_table(table, workspace.folder / "data" / "train-00000-of-00001.parquet")
    return {"train": len(images), "validation": 0}


def _trained(inputs: Inputs, workspace: Workspace) -> Facts:
    recipe = inputs.settings["recipe"]
    snapshots = []
    for epoch in recipe.snapshot_epochs:
        checkpoint = inputs.publish(epoch_key(epoch), f"trained to {epoch}")
        snapshots.append(
            StoredSnapshot(
                epoch=epoch,
                step=epoch,
                loss=1.0 / epoch,
                validation_loss=None,
                validation_bands=(),
                base_share=0.1,
                partition=checkpoint.partition,
                version=checkpoint.version,
            )
        )
    write_snapshots(snapshots, snapshots[-1].epoch, workspace.folder)
    workspace.work["steps"] += snapshots[-1].epoch
    loss = math.nan if recipe.learning_rate >= DIVERGES else 1.0
    write_json(workspace.folder / TRAINING_LOG, [{"step": 1, "loss": loss, "grad_norm": 1.0}])
    return _made(inputs, workspace)


def _made(inputs: Inputs, workspace: Workspace) -> Facts:
    content = {
        "settings": inputs.settings.identity,
        "upstream": {name: each.version for name, each in inputs.upstream.items()},
        "models": {role: model.version for role, model in inputs.models.items()},
    }
    (workspace.folder / "content.json").write_text(json.dumps(content, default=str))
    return {}


WORK: Mapping[str, Any] = {
    "raw_images": _collected,
    "jpeg_images": _passed_on,
    "curated_images": _curated,
    "captions": _captioned,
    "image_dataset": _dataset,
    "ema_unet": _trained,
}


def _images(inputs: Inputs) -> dict[str, str]:
    (upstream,) = (each for name, each in inputs.upstream.items())
    images: dict[str, str] = json.loads((upstream.folder / IMAGES).read_text())
    return images


def _write_images(images: Mapping[str, str], found: int, workspace: Workspace) -> Facts:
    (workspace.folder / IMAGES).write_text(json.dumps(images))
    return {"found": found, "kept": len(images), "rejected_family": found - len(images)}


def add_images(root: Path, *names: str) -> None:
    """Put images into the project's source."""
    (root / NEWS).mkdir(exist_ok=True)
    for name in names:
        (root / NEWS / f"{name}.txt").write_text(f"an image of {name}")
