"""What a style file decides of each asset, as nodes of the lineage that the web UI compares.

Each stage has one node, ``style_file/<asset>``. Its data version is a digest of the settings, files
and models that decide the asset. After a change of the style file, the assets that it concerns and
those that follow them are out of date in the web UI just as ``styledag status`` reports them.
"""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.data_version import (
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from styledag.defs.history import newest_observation
from styledag.defs.partitions import Partitions
from styledag.defs.placement import SETTINGS, Placement
from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.stage import Stage
from styledag.graph.status import AssetStatus, style_status


def settings_node(stage: Stage, partitions: Partitions, placement: Placement) -> dg.AssetSpec:
    """Return the node with the settings of a stage; nothing materialises it."""
    return dg.AssetSpec(
        placement.settings(stage.name),
        partitions_def=partitions.definition(stage),
        group_name=placement.group or SETTINGS,
        kinds={"yaml"},
        owners=list(placement.owners),
        tags=placement.tags,
        description=f"What the style file decides of `{stage.name}`: its settings, the files and "
        "the models that they name. Looked at every half minute.",
    )


def observe_settings(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str, declared: str
) -> dict[str, str]:
    """Record the settings of one build, and return the tags by which Dagster compares them."""
    newest = newest_observation(instance, key, partition)
    if newest is None or _version(newest) != declared:
        instance.report_runless_asset_event(_observation(key, partition, declared))
        newest = newest_observation(instance, key, partition)
    pointer = "NULL" if newest is None else str(newest.storage_id)
    return {get_input_data_version_tag(key): declared, get_input_event_pointer_tag(key): pointer}


def changed_settings(
    instance: dg.DagsterInstance, statuses: Sequence[AssetStatus], placement: Placement
) -> Iterator[dg.AssetObservation]:
    """Yield an observation for each asset whose settings differ from those last observed."""
    by_asset: dict[str, list[AssetStatus]] = {}
    for status in statuses:
        by_asset.setdefault(status.asset, []).append(status)
    for asset, of_asset in by_asset.items():
        key = placement.settings(asset)
        known = instance.event_log_storage.get_latest_tags_by_partition(
            key, dg.DagsterEventType.ASSET_OBSERVATION, [DATA_VERSION_TAG]
        )
        for status in of_asset:
            version = known.get(status.partition, {}).get(DATA_VERSION_TAG)
            if status.declared and version != status.declared:
                yield _observation(key, status.partition, status.declared)


def style_files_sensor(catalogue: Catalogue, placement: Placement) -> dg.SensorDefinition:
    """Return the sensor that looks at the style files every half minute."""

    @dg.sensor(
        name=placement.named("style_files"),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks what a changed style file puts out of date; starts nothing.",
    )
    def style_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        statuses: list[AssetStatus] = []
        now = catalogue.at_once()
        for style in catalogue.project.style_paths:
            try:
                statuses += style_status(now, style)
            except StyledagError as exc:
                context.log.warning(f"style {style} is left out until its file is mended: {exc}")
        changed = list(changed_settings(context.instance, statuses, placement))
        if not changed:
            return dg.SkipReason("no style file has changed")
        return dg.SensorResult(asset_events=changed)

    return style_files


def _observation(key: dg.AssetKey, partition: str, declared: str) -> dg.AssetObservation:
    return dg.AssetObservation(
        key,
        partition=partition,
        tags={DATA_VERSION_TAG: declared, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"},
    )


def _version(record: dg.EventLogRecord) -> str | None:
    observation = record.asset_observation
    return None if observation is None else (observation.tags or {}).get(DATA_VERSION_TAG)
