"""The assets of the graph: one for each stage, all made by the same few lines."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from dagster_shared.utils.warnings import PreviewWarning

from styledag.defs.automation import DueNow, keep_fresh
from styledag.defs.materialise import GraphRun, checks_of
from styledag.defs.partitions import Partitions
from styledag.defs.resources import ComputeResource
from styledag.defs.settings_nodes import settings_key, settings_node
from styledag.graph.catalogue import Catalogue
from styledag.graph.checks import Check, Checked
from styledag.graph.stage import Stage

OWNERS = ["team:styledag"]


def graph_assets(
    catalogue: Catalogue, partitions: Partitions
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return every stage's asset, and a node for what the style file decides of it.

    An asset whose partitions another stage publishes is one that nothing asks to be materialised.
    """
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
    due_now = DueNow(catalogue)
    for stage in catalogue.stages.values():
        declared = _declared(stage, partitions, catalogue)
        if stage.name in catalogue.publisher_of:
            assets.append(dg.AssetSpec(stage.name, kinds=set(stage.kinds), **declared))
        else:
            asset = _asset(stage, declared, keep_fresh(due_now, stage))
            assets += [asset, settings_node(stage, partitions)]
    return assets


def graph_checks(catalogue: Catalogue, partitions: Partitions) -> list[dg.AssetChecksDefinition]:
    """Return the checks that are run on their own, by hand."""
    return [
        _by_hand(stage, check, partitions)
        for stage in catalogue.stages.values()
        for check in stage.checks
        if check.by_hand
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
        mapping = partitions.mapping(catalogue.stages[reads.asset], stage, reads)
        yield dg.AssetDep(reads.asset, partition_mapping=mapping)


def _asset(
    stage: Stage, declared: dict[str, Any], automation: dg.AutomationCondition
) -> dg.AssetsDefinition:
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
        automation_condition=automation,
        check_specs=_check_specs(stage, declared["partitions_def"]),
        **declared,
    )(materialise)
    return asset


def _check_specs(stage: Stage, partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Checks with partitions are a preview of Dagster's.
        warnings.simplefilter("ignore", PreviewWarning)
        return [
            dg.AssetCheckSpec(
                each.name,
                asset=stage.name,
                description=each.description,
                blocking=each.blocks,
                partitions_def=partitions,
            )
            for each in checks_of(stage)
        ]


def _by_hand(stage: Stage, check: Check, partitions: Partitions) -> dg.AssetChecksDefinition:
    """Return a check of all partitions of an asset, which takes too long for each run."""

    @dg.asset_check(asset=stage.name, name=check.name, description=check.description)
    def look(graph: dg.ResourceParam[GraphRun]) -> dg.AssetCheckResult:
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
            passed=not wrong, metadata={"partitions": looked_at, "wrong": wrong}
        )

    return look


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
