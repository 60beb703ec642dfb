"""The assets of the graph: one for each stage, all made by the same few lines."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from dagster_shared.utils.warnings import PreviewWarning

from styledag.defs.automation import DueNow, keep_fresh, refresh_deadline
from styledag.defs.materialise import GraphRun, checks_of
from styledag.defs.partitions import Partitions
from styledag.defs.placement import Placement
from styledag.defs.resources import COMPUTE
from styledag.defs.settings_nodes import settings_node
from styledag.graph.catalogue import Catalogue
from styledag.graph.checks import Check, Checked
from styledag.graph.stage import Stage


def graph_assets(
    graph: GraphRun, partitions: Partitions
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return every stage's asset, and a node for what the style file decides of it.

    An asset whose partitions another stage publishes is one that nothing asks to be materialised.
    """
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
    catalogue, placement = graph.catalogue, graph.placement
    due_now = DueNow(catalogue)
    for stage in catalogue.stages.values():
        declared = _declared(stage, partitions, catalogue, placement)
        if stage.name in catalogue.publisher_of:
            assets.append(dg.AssetSpec(kinds=set(stage.kinds), **declared))
        else:
            condition = keep_fresh(due_now, stage) if placement.is_own else None
            asset = _asset(stage, graph, declared, condition)
            assets += [asset, settings_node(stage, partitions, placement)]
    return assets


def graph_checks(graph: GraphRun, partitions: Partitions) -> list[dg.AssetChecksDefinition]:
    """Return the checks that are run on their own, by hand."""
    return [
        _by_hand(stage, check, graph, partitions)
        for stage in graph.catalogue.stages.values()
        for check in stage.checks
        if check.by_hand
    ]


def _declared(
    stage: Stage, partitions: Partitions, catalogue: Catalogue, placement: Placement
) -> dict[str, Any]:
    return {
        "key": placement.asset(stage.name),
        "partitions_def": partitions.definition(stage),
        "deps": list(_deps(stage, partitions, catalogue, placement)),
        "description": stage.description,
        "group_name": placement.group or stage.group,
        "owners": list(placement.owners),
        "tags": placement.tags,
        "code_version": stage.code_version,
        "metadata": _source_code(stage.run),
    }


def _deps(
    stage: Stage, partitions: Partitions, catalogue: Catalogue, placement: Placement
) -> Iterator[dg.AssetDep]:
    if stage.name not in catalogue.publisher_of:
        yield dg.AssetDep(placement.settings(stage.name))
    for reads in stage.reads:
        mapping = partitions.mapping(catalogue.stages[reads.asset], stage, reads)
        yield dg.AssetDep(placement.asset(reads.asset), partition_mapping=mapping)


def _asset(
    stage: Stage,
    graph: GraphRun,
    declared: dict[str, Any],
    automation: dg.AutomationCondition | None,
) -> dg.AssetsDefinition:
    compute = graph.placement.named(COMPUTE)

    def materialise(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return graph.materialise(context, stage, getattr(context.resources, compute))

    with warnings.catch_warnings(action="ignore", category=dg.BetaWarning):
        # Backfill policies are a beta of Dagster's.
        asset: dg.AssetsDefinition = dg.asset(
            kinds=set(stage.kinds),
            pool=stage.pool if graph.placement.is_own else None,
            required_resource_keys={compute},
            automation_condition=automation,
            backfill_policy=dg.BackfillPolicy.single_run() if stage.grain == "blend" else None,
            freshness_policy=refresh_deadline(graph.catalogue)
            if stage.depends_on_outside
            else None,
            check_specs=_check_specs(stage, declared["key"], declared["partitions_def"]),
            **declared,
        )(materialise)
    return asset


def _check_specs(
    stage: Stage, key: dg.AssetKey, partitions: dg.PartitionsDefinition
) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings(action="ignore", category=PreviewWarning):
        # Checks with partitions are a preview of Dagster's.
        return [
            dg.AssetCheckSpec(
                each.name,
                asset=key,
                description=each.description,
                blocking=True,  # Dagster asks the severity as well, which the style file decides
                partitions_def=partitions,
            )
            for each in checks_of(stage)
        ]


def _by_hand(
    stage: Stage, check: Check, graph: GraphRun, partitions: Partitions
) -> dg.AssetChecksDefinition:
    """Return a check of all partitions of an asset, which takes too long for each run."""
    key = graph.placement.asset(stage.name)

    @dg.asset_check(asset=key, name=check.name, description=check.description)
    def look() -> dg.AssetCheckResult:
        catalogue, wrong, looked_at = graph.catalogue, [], 0
        for partition in partitions.of(stage):
            artifact = catalogue.store.current(stage.name, partition.stored_as)
            if artifact is None:
                continue
            looked_at += 1
            style = catalogue.style(partition.style)
            outcome = check.look(Checked(artifact, style, catalogue.store))
            if not outcome.passed:
                wrong.append(outcome.why)
        return dg.AssetCheckResult(
            passed=not wrong,
            description="; ".join(wrong) or f"{looked_at} partitions are sound",
            metadata={"partitions": looked_at, "wrong": wrong},
        )

    return look


def _source_code(function: Callable[..., Any]) -> dict[str, Any]:
    """Return metadata by which the web UI links an asset to its source, a beta of Dagster's."""
    file = inspect.getsourcefile(function)
    if file is None:
        return {}
    line = inspect.getsourcelines(function)[1]
    with warnings.catch_warnings(action="ignore", category=dg.BetaWarning):
        reference = dg.LocalFileCodeReference(file_path=file, line_number=line)
        value = dg.CodeReferencesMetadataValue(code_references=[reference])
        return {"dagster/code_references": value}
