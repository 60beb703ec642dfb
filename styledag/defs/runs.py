"""Runs of the graph in this process, recorded in the same history as the web UI's."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import RunFailureReason
from dagster._core.execution.execute_in_process import core_execute_in_process
from dagster._core.instance.ref import InstanceRef

from styledag.defs.run_processes import end_dead_runs, process_tags
from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.stage import Stage
from styledag.project import MARK

_UNCAPTURED = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}
"""Runs in a terminal keep their output there: captured, no bar would move."""


POOLS = frozenset(("gpu",))
"""Pools of the stages that compute."""


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
        asset: Asset's name.
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


@contextmanager
def open_history(root: Path) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's records: those of ``DAGSTER_HOME``, else those of the project.

    Runs whose process is gone (killed, or lost to a power cut) are marked as failed, and the
    pools that they held are set free.

    Raises:
        StyledagError: If ``DAGSTER_HOME`` names no folder.
    """
    reference = InstanceRef.from_dir(str(_home(root)), overrides=_UNCAPTURED)
    with dg.DagsterInstance.from_ref(reference) as instance:
        end_dead_runs(instance)
        yield instance


def risky_settings(instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield a sentence for each setting of the history that a project's has and this has not."""
    of = Path(instance.root_directory) / MARK
    storage, pools = instance.event_log_storage, instance.get_concurrency_config().pool_config
    limited = {each.name for each in storage.get_pool_limits()}
    if pools.default_pool_limit is None and not limited >= POOLS:
        yield (
            f"{of} has no concurrency.pools.default_limit: several stages may compute on one GPU "
            "at a time"
        )
    launcher = instance.run_launcher
    if not (instance.run_monitoring_enabled and launcher.supports_check_run_worker_health):
        yield (
            f"{of} has no run_monitoring, or a run_launcher that it cannot ask: a run that is "
            "killed keeps the pool until `styledag ui` starts again"
        )


def _home(root: Path) -> Path:
    named = os.environ.get("DAGSTER_HOME")
    if not named:
        return root
    home = Path(named).expanduser()
    if not home.is_absolute() or not home.is_dir():
        raise StyledagError(
            f"DAGSTER_HOME is {named!r}: expected the full path of a folder that is there; unset "
            f"it, and the history is this project's, by {root / MARK}"
        )
    return home


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
    return "the run failed; the web UI (`make ui`) shows its log"
