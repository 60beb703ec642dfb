"""Materialisations that a step logs itself, each of one partition.

A run of many partitions has one output, to which Dagster gives one data version for all of them.
Here each has its own artifact, and so its own version, inputs and metadata.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from styledag.graph.names import Partition


def materialisation(
    asset: dg.AssetKey,
    partition: Partition,
    *,
    version: str,
    code_version: str,
    metadata: Mapping[str, Any],
    tags: Mapping[str, str],
) -> dg.AssetMaterialization:
    """Return what Dagster records of one artifact.

    Args:
        asset: Key of the asset.
        partition: The artifact's partition.
        version: Version of the artifact's content.
        code_version: Version of the stage that made it.
        metadata: What the web UI shows.
        tags: Further tags, such as those of :func:`input_tags`.
    """
    return dg.AssetMaterialization(
        asset,
        partition=partition.key,
        metadata=metadata,
        tags={
            DATA_VERSION_TAG: version,
            DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
            CODE_VERSION_TAG: code_version,
            **tags,
        },
    )


def input_tags(instance: dg.DagsterInstance, assets: Iterable[dg.AssetKey]) -> dict[str, str]:
    """Return tags that say how far the records of upstream assets had come.

    By them Dagster finds out which partitions of those assets are newer than what was read.
    """
    keys = list(assets)
    newest = {
        record.asset_entry.asset_key: record.asset_entry.last_materialization_record
        for record in instance.get_asset_records(keys)
    }
    tags: dict[str, str] = {}
    for key in keys:
        record = newest.get(key)
        tags[get_input_event_pointer_tag(key)] = (
            str(record.storage_id) if record else NULL_EVENT_POINTER
        )
        materialised = record.asset_materialization if record else None
        version = (materialised.tags or {}).get(DATA_VERSION_TAG) if materialised else None
        tags[get_input_data_version_tag(key)] = version or NULL_EVENT_POINTER
    return tags


def logged_result() -> dg.MaterializeResult:
    """Return the result of a step whose partitions are all logged, for which Dagster logs none.

    Its own observations of external assets end in the same way.
    """
    return dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
