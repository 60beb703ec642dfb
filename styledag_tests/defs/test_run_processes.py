"""Runs that lost their process end, and what they held is free; all others are left alone."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test

from styledag.defs.run_processes import LocalRunLauncher, end_dead_runs

POOL = "gpu"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shipped = Path(__file__).parents[2] / "dagster.yaml"
    (tmp_path / "dagster.yaml").write_text(
        shipped.read_text().replace("data/.dagster", str(tmp_path / "history"))
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def living_pid() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process.pid
    process.kill()
    process.wait()


def run_of_ui(
    instance: dg.DagsterInstance, pid: int | None, *, host: str = "localhost"
) -> dg.DagsterRun:
    """Record a run as the web UI's launcher and its worker record it, holding the pool."""
    server = {"host": host, "socket": "/tmp/server"}
    run = create_run_for_test(
        instance,
        status=dg.DagsterRunStatus.STARTED,
        tags={GRPC_INFO_TAG: json.dumps(server)},
    )
    if pid is not None:
        instance.report_engine_event(
            f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid)
        )
    return hold(instance, run)


def run_of_terminal(instance: dg.DagsterInstance, pid: int, host: str) -> dg.DagsterRun:
    tags = {"styledag/pid": str(pid), "styledag/host": host}
    return hold(
        instance, create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=tags)
    )


def hold(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    instance.event_log_storage.set_concurrency_slots(POOL, 8)
    instance.event_log_storage.claim_concurrency_slot(POOL, run.run_id, "train")
    return run


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def holders(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_info(POOL).active_run_ids)


def test_a_run_of_the_web_ui_without_its_process_ends_and_frees_the_pool(
    instance: dg.DagsterInstance, dead_pid: int
) -> None:
    run = run_of_ui(instance, dead_pid)
    assert holders(instance) == {run.run_id}
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE
    assert holders(instance) == set()


def test_a_run_that_was_being_cancelled_is_cancelled(
    instance: dg.DagsterInstance, dead_pid: int
) -> None:
    run = run_of_ui(instance, dead_pid)
    instance.report_run_canceling(run)
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.CANCELED
    assert holders(instance) == set()


def test_a_run_of_a_terminal_that_was_killed_ends(
    instance: dg.DagsterInstance, dead_pid: int
) -> None:
    run = run_of_terminal(instance, dead_pid, socket.gethostname())
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE


def test_a_zombie_is_no_process(instance: dg.DagsterInstance) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while not Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].startswith(" Z"):
        time.sleep(0.01)
    run = run_of_ui(instance, process.pid)
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE
    process.wait()


@pytest.mark.parametrize("where", ["ui", "terminal"])
def test_a_later_process_of_the_same_number_is_another(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, living_pid: int, where: str
) -> None:
    make = run_of_ui if where == "ui" else lambda *a: run_of_terminal(*a, socket.gethostname())
    run = make(instance, living_pid)
    monkeypatch.setattr("psutil.Process.create_time", lambda _: time.time() + 60)
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE


def test_runs_that_live_or_may_live_are_left_alone(
    instance: dg.DagsterInstance, living_pid: int, dead_pid: int
) -> None:
    runs = [
        run_of_ui(instance, living_pid),
        run_of_ui(instance, None),  # launched a moment ago
        run_of_ui(instance, dead_pid, host="gpu-box"),
        run_of_terminal(instance, living_pid, socket.gethostname()),
        run_of_terminal(instance, dead_pid, "gpu-box"),
    ]
    end_dead_runs(instance)
    assert {status(instance, run) for run in runs} == {dg.DagsterRunStatus.STARTED}
    assert holders(instance) == {run.run_id for run in runs}


def test_run_monitoring_is_told_by_the_shipped_settings(
    instance: dg.DagsterInstance, living_pid: int, dead_pid: int
) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, LocalRunLauncher)
    assert launcher.supports_check_run_worker_health
    alive, dead = run_of_ui(instance, living_pid), run_of_ui(instance, dead_pid)
    assert launcher.check_run_worker_health(alive).status == WorkerStatus.RUNNING
    assert launcher.check_run_worker_health(dead).status == WorkerStatus.FAILED


def test_a_run_that_ended_before_it_began_is_not_in_progress_for_ever(
    instance: dg.DagsterInstance, dead_pid: int
) -> None:
    tags = {"styledag/pid": str(dead_pid), "styledag/host": socket.gethostname()}
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.NOT_STARTED, tags=tags)
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE
