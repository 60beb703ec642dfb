"""A run lives as long as its process holds its lock, whatever clocks, numbers and hosts say."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from styledag.defs import run_locks
from styledag.defs.run_locks import run_lock
from styledag.defs.run_processes import end_dead_runs

HOLDER = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from styledag.defs.run_locks import run_lock
instance = SimpleNamespace(storage_directory=lambda: sys.argv[1])
with run_lock(instance, sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""
NO_PID = str(2**22 + 1)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run whose process this host does not know by its number."""
    tags = {"styledag/pid": NO_PID, "styledag/host": "another-container"}
    return create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=tags)


@pytest.fixture
def holder(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLDER, instance.storage_directory(), run.run_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def lock_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Path:
    return Path(instance.storage_directory()).with_name("running") / run.run_id


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_held_lock_outlasts_a_clock_that_was_set(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    holder: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = {"styledag/pid": str(holder.pid), "styledag/host": socket.gethostname()}
    instance.add_run_tags(run.run_id, here)
    monkeypatch.setattr("psutil.Process.create_time", lambda _: time.time() + 3600)
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.STARTED


def test_the_lock_of_a_killed_process_is_free(
    instance: dg.DagsterInstance, run: dg.DagsterRun, holder: subprocess.Popen[bytes]
) -> None:
    holder.kill()
    holder.wait()
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE
    end_dead_runs(instance)
    assert not lock_of(instance, run).exists()


def test_another_machine_is_believed_dead_only_when_it_is_silent(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    holder: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holder.kill()
    holder.wait()
    lock_of(instance, run).write_text("another-container")
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.STARTED
    now = time.monotonic()
    monkeypatch.setattr(run_locks, "time", SimpleNamespace(monotonic=lambda: now + 100))
    os.utime(lock_of(instance, run), (0, 0))
    end_dead_runs(instance)
    monkeypatch.setattr(run_locks, "time", SimpleNamespace(monotonic=lambda: now + 200))
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.STARTED
    monkeypatch.setattr(run_locks, "time", SimpleNamespace(monotonic=lambda: now + 290))
    end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE


def test_a_process_that_looks_at_its_own_lock_keeps_it(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    with run_lock(instance, run.run_id):
        end_dead_runs(instance)
        end_dead_runs(instance)
        assert status(instance, run) == dg.DagsterRunStatus.STARTED
        look = (
            "import sys; from pathlib import Path; from styledag.defs import run_locks; "
            "print(run_locks._is_left(Path(sys.argv[1])))"
        )
        command = [sys.executable, "-c", look, str(lock_of(instance, run))]
        assert subprocess.check_output(command) == b"False\n"
    assert not lock_of(instance, run).exists()


def test_without_locks_a_run_runs_all_the_same(
    instance: dg.DagsterInstance, run: dg.DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(run_locks.fcntl, "lockf", no_locks)
    with run_lock(instance, run.run_id):
        assert not list(lock_of(instance, run).parent.iterdir())
        end_dead_runs(instance)
    assert status(instance, run) == dg.DagsterRunStatus.STARTED
