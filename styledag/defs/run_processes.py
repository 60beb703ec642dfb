"""The processes of runs: which are gone, and what a run that lost its process still holds."""

import os
import socket

import dagster as dg
import psutil
from dagster._core.events import DagsterEventType
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.tags import GRPC_INFO_TAG

from styledag.defs.run_locks import is_left, remove_left

_PID_TAG, _HOST_TAG = "styledag/pid", "styledag/host"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_GONE = "The process of this run is gone; run it again to continue from where it stopped."
_CLOCKS_DIFFER_S = 2.0
"""A process states its start in ticks of the kernel, an event in time of day."""


def process_tags() -> dict[str, str]:
    """Return the tags by which a run in this process is found to be dead once the process is."""
    return {_PID_TAG: str(os.getpid()), _HOST_TAG: socket.gethostname()}


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs whose process is gone as ended, and free the pool slots that they hold.

    Runs of the command line and of the web UI alike; those of another machine if their lock is
    free and has not been touched for minutes. One that was being cancelled is cancelled: Dagster
    retries what failed without an error of its own.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED))
    remove_left(instance, [record.dagster_run.run_id for record in records])
    for record in records:
        if _is_gone(instance, record):
            if record.dagster_run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(record.dagster_run, _GONE)
            else:
                instance.report_run_failed(record.dagster_run, _GONE)
            instance.event_log_storage.free_concurrency_slots_for_run(record.dagster_run.run_id)


class LocalRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, which can tell run monitoring whether a run's process lives.

    Without it a run that lost its process (Ctrl-C of the web UI, a closed terminal, ``kill -9``)
    stays started and holds its pool for ever. Named in ``dagster.yaml`` under ``run_launcher``.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Always true."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the run's process is there, for the monitoring daemon."""
        record = self._instance.get_run_record_by_id(run.run_id)
        if record is not None and _is_gone(self._instance, record):
            return CheckRunHealthResult(WorkerStatus.FAILED, _GONE)
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def _is_gone(instance: dg.DagsterInstance, record: RunRecord) -> bool:
    """Return whether a run had a process that is no longer there.

    A run that has not reported its process yet, or that runs elsewhere without a lock, counts as
    alive.
    """
    left = is_left(instance, record.dagster_run.run_id)
    if left is not None:
        return left
    tags = record.dagster_run.tags
    if _PID_TAG in tags:
        if tags.get(_HOST_TAG) != socket.gethostname():
            return False
        return not _is_running(int(tags[_PID_TAG]), record.create_timestamp.timestamp())
    if '"host": "localhost"' not in tags.get(GRPC_INFO_TAG, ""):
        return False
    events = instance.all_logs(record.dagster_run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
    for event in reversed(events):
        metadata = event.get_dagster_event().engine_event_data.metadata
        if "pid" in metadata:
            return not _is_running(int(str(metadata["pid"].value)), event.timestamp)
    return False


def _is_running(pid: int, reported_at_s: float) -> bool:
    """Return whether a process that was there at a time still is, and not another of its number."""
    try:
        process = psutil.Process(pid)
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.create_time() <= reported_at_s + _CLOCKS_DIFFER_S
        )
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
