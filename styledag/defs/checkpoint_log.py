"""Checkpoints: stored, and logged to their own partition, while training goes on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from styledag.defs.materialise import GraphRun, built_metadata
from styledag.defs.partitions import EPOCH_DIMENSION, MODEL_DIMENSION, checkpoint_key
from styledag.defs.previews import image_of
from styledag.graph.model_plans import plan_checkpoint
from styledag.graph.model_stages import THUMBNAILS, GetCompute, store_checkpoint
from styledag.graph.names import ModelName, epoch_key
from styledag.graph.snapshots import read_snapshots
from styledag.store.artifact import Input
from styledag.store.store import Built

if TYPE_CHECKING:
    from styledag.training.records import Snapshot

ASSET = "checkpoint"
_NEWEST_EVENTS = 100


@dataclass(frozen=True)
class CheckpointLog:
    """Publishes the snapshots of one training run.

    Attributes:
        context: The running asset.
        graph: Project, store and who shows progress.
        model: The model being trained.
        get_compute: Finds the device that draws the thumbnails.
    """

    context: dg.AssetExecutionContext
    graph: GraphRun
    model: ModelName
    get_compute: GetCompute

    def publish(self, snapshot: "Snapshot") -> None:
        """Store one snapshot and log it to its own partition of ``checkpoint``.

        It may be called again for a snapshot that an interrupted run had published: nothing is
        stored or drawn twice.
        """
        plan = plan_checkpoint(self.graph.graph, self.model, snapshot.epoch)
        built = self.graph.graph.store.build(
            plan.target, partial(store_checkpoint, snapshot, self.get_compute, plan)
        )
        self.graph.on_built(built)
        log_checkpoint(self.context, self.model, epoch_key(snapshot.epoch), built)

    def announce_kept(self) -> None:
        """Make the checkpoints of the current model the current ones, where they are not.

        A recipe that is taken back finds its model again without training; so it must find its
        checkpoints, and a history that was removed must hear of them anew.
        """
        store = self.graph.graph.store
        for snapshot in read_snapshots(store.require("ema_unet", str(self.model))):
            kept = store.by_version(ASSET, snapshot.partition, snapshot.version)
            store.make_current(kept)
            epoch = epoch_key(snapshot.epoch)
            key = checkpoint_key(self.model, epoch)
            announced = _newest_events(self.context.instance, ASSET, key, limit=1)
            if [_version(record) for record in announced] != [kept.version]:
                built = Built(kept, cached=True, work={})
                log_checkpoint(self.context, self.model, epoch, built)


def log_checkpoint(
    context: dg.AssetExecutionContext, model: ModelName, epoch: str, built: Built
) -> None:
    """Log a stored checkpoint as a materialisation of its own partition."""
    context.instance.add_dynamic_partitions(EPOCH_DIMENSION, [epoch])
    artifact = built.artifact
    key = checkpoint_key(model, epoch)
    context.log_event(
        dg.AssetMaterialization(
            ASSET,
            partition=key,
            description=f"Snapshot {epoch} of {model}",
            metadata=built_metadata(built, image_of(THUMBNAILS)),
            tags={
                "dagster/data_version": artifact.version,
                "dagster/data_version_is_user_provided": "true",
                "dagster/code_version": artifact.build.code_version,
                f"dagster/partition/{EPOCH_DIMENSION}": epoch,
                f"dagster/partition/{MODEL_DIMENSION}": str(model),
                **_input_tags(context.instance, artifact.build.inputs),
            },
        )
    )


def _input_tags(instance: dg.DagsterInstance, inputs: Sequence[Input]) -> dict[str, str]:
    """Return the tags by which Dagster tells whether a checkpoint is stale.

    Both are needed: an input's version, and which event of its partition announced it.
    """
    tags = {}
    for upstream in (each for each in inputs if each.build):
        digest = hashlib.sha256(upstream.version.encode()).hexdigest()
        tags[f"dagster/input_data_version/{upstream.name}"] = digest
        tags[f"dagster/input_event_pointer/{upstream.name}"] = _event_pointer(instance, upstream)
    return tags


def _event_pointer(instance: dg.DagsterInstance, upstream: Input) -> str:
    """Return the id of the newest event that announced just this version, ``NULL`` if none did."""
    events = _newest_events(instance, upstream.name, upstream.partition, limit=_NEWEST_EVENTS)
    return next(
        (str(record.storage_id) for record in events if _version(record) == upstream.version),
        "NULL",
    )


def _newest_events(
    instance: dg.DagsterInstance, asset: str, partition: str, *, limit: int
) -> Sequence[dg.EventLogRecord]:
    return instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition]),
        limit=limit,
    ).records


def _version(record: dg.EventLogRecord) -> str | None:
    return (record.event_log_entry.tags or {}).get("dagster/data_version")
