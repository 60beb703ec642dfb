"""Runs of the graph in this process, recorded in the same history as the web UI's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import RunFailureReason
from dagster._core.execution.execute_in_process import core_execute_in_process

from styledag.defs.run_processes import process_tags
from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.stage import Stage


class RunFailedError(StyledagError):
    """A materialisation failed; the message is the failure's own sentence."""


@dataclass(frozen=True)
class Step:
    """Assets that one run materialises for one partition."""

    assets: tuple[str, ...]
    partition: str


@dataclass(frozen=True)
class Materialised:
    """One materialisation that a run logged.

    Attributes:
        partition: Dagster's partition key.
        metadata: Plain values as the web UI shows them.
    """

    asset: str
    partition: str
    metadata: Mapping[str, Any]


def steps_of(catalogue: Catalogue, style: str, recipes: Sequence[str] = ()) -> list[Step]:
    """Return the runs that bring a style, with all of its recipes or some, up to date, in order.

    An asset that not every style asks for has a run of its own: it has fewer partitions than those
    around it, and Dagster starts no run of assets whose partitions differ.

    Raises:
        StyleFileError: If the style or a recipe is not declared.
    """

    def run_of(walked: tuple[Stage, Partition]) -> tuple[str, str]:
        stage, partition = walked
        return partition.key, stage.name if stage.is_optional else ""

    walked = groupby(catalogue.walk(style, recipes), run_of)
    return [Step(tuple(stage.name for stage, _ in pairs), key) for (key, _), pairs in walked]


def run_step(
    definitions: dg.Definitions, instance: dg.DagsterInstance, step: Step
) -> list[Materialised]:
    """Materialise one step and return what was logged.

    Raises:
        RunFailedError: With the sentence of what failed.
        KeyboardInterrupt: If somebody interrupted it.
    """
    assets = [dg.AssetKey(asset) for asset in step.assets]
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=frozenset(assets)
    )
    # As job.execute_in_process, which replaces the job's executor by Dagster's own.
    result = core_execute_in_process(
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        job=InMemoryJob(job),
        instance=instance,
        output_capturing_enabled=False,
        raise_on_error=False,
        run_tags={
            **job.get_tags_for_partition_key(step.partition, selected_asset_keys=assets),
            **process_tags(),
        },
        asset_selection=frozenset(assets),
    )
    if _is_interrupted(result):
        # Dagster counts it as a failure, since nobody had asked its records for the end.
        instance.report_run_canceled(result.dagster_run, "interrupted in the terminal")
        raise KeyboardInterrupt
    if not result.success:
        raise RunFailedError(_sentence(result))
    return [
        Materialised(
            event.asset_key.to_user_string(),
            event.partition or "",
            {name: value.value for name, value in event.materialization.metadata.items()},
        )
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    ]


def _is_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    return any(
        event.is_job_failure
        and event.job_failure_data.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION
        for event in result.all_events
    )


def _sentence(result: dg.ExecuteInProcessResult) -> str:
    blocked = [
        f"{each.asset_key.to_user_string()} does not pass {each.check_name}: {each.description}"
        for each in result.get_asset_check_evaluations()
        if each.blocking and not each.passed and each.severity == dg.AssetCheckSeverity.ERROR
    ]
    if blocked:
        return "\n".join(blocked)
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        failure = event.step_failure_data
        if failure.user_failure_data is not None and failure.user_failure_data.description:
            return str(failure.user_failure_data.description)
        if failure.error is not None:
            cause = failure.error
            while cause.cause is not None:
                cause = cause.cause
            return f"{event.step_key} failed: {cause.to_string()}"
    return "the run failed; the web UI (`styledag ui`) shows its log"
