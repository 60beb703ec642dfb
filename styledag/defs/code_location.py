"""All assets and resources of one project, wired together."""

from collections.abc import Sequence

import dagster as dg

from styledag.defs.alerts import alert_sensors
from styledag.defs.assets import graph_assets, graph_checks
from styledag.defs.automation import keep_fresh_sensor, refresh_schedules
from styledag.defs.executor import OnWait, ignore_wait, waiting_executor
from styledag.defs.jobs import graph_jobs
from styledag.defs.materialise import (
    RETRY_DELAYS_S,
    GraphRun,
    OnBuilt,
    OnFailedCheck,
    ignore_built,
    ignore_failed_check,
)
from styledag.defs.partitions import read_partitions
from styledag.defs.resources import COMPUTE, ProgressOf, compute_resource, log_progress
from styledag.defs.settings_nodes import style_files_sensor
from styledag.graph.catalogue import Catalogue
from styledag.models.compute import ComputeSettings
from styledag.project import Project


def build_definitions(
    project: Project,
    *,
    progress_of: ProgressOf = log_progress,
    on_built: OnBuilt = ignore_built,
    on_failed_check: OnFailedCheck = ignore_failed_check,
    on_wait: OnWait = ignore_wait,
    retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
    checks_first: bool = True,
    compute: ComputeSettings | None = None,
    pages_url: str = "",
) -> dg.Definitions:
    """Return the graph of a project.

    Args:
        project: Where the style files and the store are.
        progress_of: Returns what shows a materialisation's progress; the run's log unless named.
        on_built: Is called with each artifact as soon as it is there.
        on_failed_check: Is called with the name of each check that fails, and why it does.
        on_wait: Is called once for each wait for a pool, with a sentence that names its holder.
        retry_delays_s: Seconds before each further try to collect from a source that is down.
        checks_first: Whether a run begins with the checks of a style; not if they were done.
        compute: Device and dtype; found out at run time unless named.
        pages_url: Where artifacts' pages are served, for links; empty if they are not.
    """
    catalogue, partitions = Catalogue(project), read_partitions(project)
    graph = GraphRun(
        catalogue,
        progress_of,
        on_built,
        on_failed_check,
        retry_delays_s,
        checks_first,
        pages_url=pages_url,
    )
    return dg.Definitions(
        assets=graph_assets(graph, partitions),
        asset_checks=graph_checks(graph, partitions),
        jobs=graph_jobs(catalogue),
        schedules=refresh_schedules(catalogue),
        sensors=[
            style_files_sensor(catalogue, graph.placement),
            keep_fresh_sensor(),
            *alert_sensors(),
        ],
        resources={COMPUTE: compute_resource(compute or ComputeSettings())},
        executor=waiting_executor(on_wait),
    )
