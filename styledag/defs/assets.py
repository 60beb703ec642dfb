"""The assets of the graph: one for each stage, all made by the same few lines."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from styledag.defs.materialise import GraphRun
from styledag.defs.metadata import CHECKS, NOTHING_LOST, STORED_AS_PUBLISHED
from styledag.defs.partitions import Partitions
from styledag.defs.resources import ComputeResource
from styledag.defs.settings_nodes import settings_key, settings_node
from styledag.errors import StorageError
from styledag.graph.catalogue import Catalogue
from styledag.graph.stage import Stage

OWNERS = ["team:styledag"]


def graph_assets(
    catalogue: Catalogue, partitions: Partitions
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return every stage's asset, and a node for what the style file decides of it.

    An asset whose partitions another stage publishes is one that nothing asks to be materialised.
    """
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
    for stage in catalogue.stages.values():
        declared = _declared(stage, partitions, catalogue)
        if stage.name in catalogue.publisher_of:
            assets.append(dg.AssetSpec(stage.name, kinds=set(stage.kinds), **declared))
        else:
            assets += [_asset(stage, declared), settings_node(stage, partitions)]
    return assets


def graph_checks(catalogue: Catalogue, partitions: Partitions) -> list[dg.AssetChecksDefinition]:
    """Return the checks that are run on their own, by hand."""
    return [
        _stored_as_published(stage, partitions)
        for stage in catalogue.stages.values()
        if STORED_AS_PUBLISHED in stage.checks
    ]


def _declared(stage: Stage, partitions: Partitions, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "partitions_def": partitions.definition(stage),
        "deps": list(_deps(stage, partitions, catalogue)),
        "description": stage.description,
        "group_name": stage.group,
        "owners": OWNERS,
        "code_version": stage.code_version,
        "metadata": _source_code(stage.run),
    }


def _deps(stage: Stage, partitions: Partitions, catalogue: Catalogue) -> Iterator[dg.AssetDep]:
    if stage.name not in catalogue.publisher_of:
        yield dg.AssetDep(settings_key(stage.name))
    for reads in stage.reads:
        mapping = partitions.mapping(catalogue.stages[reads.asset], stage)
        yield dg.AssetDep(reads.asset, partition_mapping=mapping)


def _asset(stage: Stage, declared: dict[str, Any]) -> dg.AssetsDefinition:
    nothing_lost = dg.AssetCheckSpec(
        NOTHING_LOST, asset=stage.name, description=CHECKS[NOTHING_LOST]
    )

    def materialise(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: dg.ResourceParam[ComputeResource],
    ) -> dg.MaterializeResult:
        return graph.materialise(context, stage, compute)

    asset: dg.AssetsDefinition = dg.asset(
        name=stage.name,
        kinds=set(stage.kinds),
        pool=stage.pool,
        check_specs=[nothing_lost] if NOTHING_LOST in stage.checks else None,
        **declared,
    )(materialise)
    return asset


def _stored_as_published(stage: Stage, partitions: Partitions) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=stage.name, name=STORED_AS_PUBLISHED, description=CHECKS[STORED_AS_PUBLISHED]
    )
    def check(graph: dg.ResourceParam[GraphRun]) -> dg.AssetCheckResult:
        store, damaged, looked_at = graph.catalogue.store, [], 0
        for partition in partitions.of(stage):
            artifact = store.current(stage.name, partition.stored_as)
            if artifact is None:
                continue
            looked_at += 1
            try:
                artifact.verify()
            except StorageError as exc:
                damaged.append(str(exc))
        return dg.AssetCheckResult(
            passed=not damaged, metadata={"partitions": looked_at, "damaged": damaged}
        )

    return check


def _source_code(function: Callable[..., Any]) -> dict[str, Any]:
    """Return metadata by which the web UI links an asset to its source, a beta of Dagster's."""
    file = inspect.getsourcefile(function)
    if file is None:
        return {}
    line = inspect.getsourcelines(function)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=file, line_number=line)
        value = dg.CodeReferencesMetadataValue(code_references=[reference])
        return {"dagster/code_references": value}
