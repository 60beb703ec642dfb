"""A run that waits for a pool sleeps, names the holder, and ends when it is asked to."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.defs.run_processes import process_tags
from styledag.defs.runs import Step, run_step
from styledag.errors import StyledagError
from styledag.project import Project
from styledag_tests.whole.small_project import MODEL, STYLE, make_project

STEP = Step(("curated_images",), STYLE)
"""Runs in the pool, and fails at once as nothing before it was made."""


@pytest.fixture
def project(tmp_path: Path, starter: Path) -> Project:
    return make_project(tmp_path, starter, "http://127.0.0.1:1")


@pytest.fixture
def instance(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with open_history(project.root) as instance:
        yield instance


def hold_pool(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    run = create_run_for_test(
        instance,
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": MODEL, **tags},
    )
    instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
    instance.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "ema_unet")
    return run


def free_pool(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def test_it_sleeps_names_the_holder_once_and_starts_when_the_pool_is_free(
    project: Project, instance: dg.DagsterInstance
) -> None:
    run = hold_pool(instance, process_tags())
    heard: list[str] = []
    definitions = build_definitions(project, on_wait=heard.append)
    timer = threading.Timer(4.0, free_pool, (instance, run))
    before_s, cpu_s = time.monotonic(), time.thread_time()
    timer.start()
    with pytest.raises(StyledagError, match="jpeg_images"):
        run_step(definitions, instance, STEP)
    waited_s, cpu_s = time.monotonic() - before_s, time.thread_time() - cpu_s
    timer.join()
    assert waited_s >= 4.0
    assert cpu_s < waited_s / 2
    (sentence,) = heard
    assert sentence.startswith(
        f"curated_images waits for the pool 'gpu', used by ema_unet of {MODEL}"
    )
    assert run.run_id[:8] in sentence


def test_the_run_of_a_killed_process_does_not_keep_it_waiting(
    project: Project, instance: dg.DagsterInstance
) -> None:
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    hold_pool(instance, {**process_tags(), "styledag/pid": str(holder.pid)})
    killed: list[int] = []

    def kill(_sentence: str) -> None:
        holder.kill()
        killed.append(holder.wait())

    with pytest.raises(StyledagError, match="jpeg_images"):
        run_step(build_definitions(project, on_wait=kill), instance, STEP)
    assert killed == [-signal.SIGKILL]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_wait_at_once_and_leaves_the_queue(
    project: Project, instance: dg.DagsterInstance, number: signal.Signals
) -> None:
    run = hold_pool(instance, process_tags())
    interrupted_at: list[float] = []

    def interrupt() -> None:
        interrupted_at.append(time.monotonic())
        os.kill(os.getpid(), number)

    def in_a_moment(_sentence: str) -> None:
        threading.Timer(0.5, interrupt).start()

    definitions = build_definitions(project, on_wait=in_a_moment)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_step(definitions, instance, STEP)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - interrupted_at[0] < 30.0
    cancelled = dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED])
    assert len(instance.get_runs(cancelled)) == 1
    info = instance.event_log_storage.get_concurrency_info("gpu")
    assert info.active_run_ids == {run.run_id}
    assert {step.run_id for step in info.pending_steps} == {run.run_id}


def test_runs_of_the_web_ui_wait_in_the_same_way(project: Project) -> None:
    repository = build_definitions(project).get_repository_def()
    job = repository.get_job("__ASSET_JOB")
    assert job.executor_def.name == "in_process"
    initialised = job.executor_def.executor_creation_fn
    assert initialised is not None
    assert type(initialised(None)).__module__ == "styledag.defs.executor"  # type: ignore[arg-type]
