"""What Dagster's records tell: how long builds took, and which runs nothing is left of."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

SECONDS = "took_s"
"""Metadata of a materialisation that was not found in the store: how long it took."""
_NEWEST = 10


def newest_materialisations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str | None, most: int = 1
) -> Sequence[dg.EventLogRecord]:
    """Return the newest records of a partition, or of any of the asset; the newest first."""
    partitions = None if partition is None else [partition]
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=partitions)
    return instance.fetch_materializations(wanted, limit=most).records


def newest_observation(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str
) -> dg.EventLogRecord | None:
    """Return the newest record of what was observed of a partition."""
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition])
    return next(iter(instance.fetch_observations(wanted, limit=1).records), None)


def partitions_of(run: dg.DagsterRun) -> str:
    """Return for a person which partitions a run makes; empty if its tags do not tell."""
    if PARTITION_NAME_TAG in run.tags:
        return run.tags[PARTITION_NAME_TAG]
    ends = [
        run.tags.get(tag, "")
        for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
    ]
    return " to ".join(ends) if all(ends) else ""


def recorded_seconds(instance: dg.DagsterInstance, asset: str, partition: str) -> float | None:
    """Return how long the newest build of a partition took, or else of any of the asset.

    ``None`` if none of the newest materialisations was a build.
    """
    for key in (partition, None):
        for record in newest_materialisations(instance, dg.AssetKey(asset), key, _NEWEST):
            made = record.asset_materialization
            if made is not None and SECONDS in made.metadata:
                return float(str(made.metadata[SECONDS].value))
    return None


def old_runs(instance: dg.DagsterInstance, days: float) -> Iterator[str]:
    """Yield the ids of runs that ended long ago and whose materialisations were all replaced.

    A run that made what an asset shows now is kept, whatever its age: its record is the asset's.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    old = dg.RunsFilter(statuses=list(FINISHED_STATUSES), created_before=before)
    for run in instance.get_runs(old):
        if not _made_what_is_shown(instance, run.run_id):
            yield run.run_id


def _made_what_is_shown(instance: dg.DagsterInstance, run_id: str) -> bool:
    made = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    for entry in made:
        event = entry.get_dagster_event()
        if event.asset_key is None:
            continue
        newest = newest_materialisations(instance, event.asset_key, event.partition)
        if newest and newest[0].run_id == run_id:
            return True
    return False
