"""Collecting is tried again when its source is down, and at nothing else."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from styledag.defs import materialise
from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.defs.runs import RunFailedError, Step, run_step
from styledag.project import Project
from styledag_tests.whole.small_project import STYLE, make_project

DOWN = "http://127.0.0.1:1"
COLLECT = Step(("raw_images",), STYLE)


@pytest.fixture
def project(tmp_path: Path, starter: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = make_project(tmp_path, starter, DOWN)
    style_file = project.styles_folder / f"{STYLE}.yaml"
    style_file.write_text(style_file.read_text().replace("delay_s: 0,", "delay_s: 0, retries: 0,"))
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return project


def warnings_of(instance: dg.DagsterInstance) -> list[str]:
    (run,) = instance.get_runs()
    messages = [entry.user_message for entry in instance.all_logs(run.run_id)]
    return [message for message in messages if "tried again in" in message]


def test_a_source_that_is_down_is_asked_again_after_each_delay(project: Project) -> None:
    definitions = build_definitions(project, retry_delays_s=(0.2, 0.4))
    with open_history(project.root) as instance:
        before_s = time.monotonic()
        with pytest.raises(RunFailedError, match=f"{DOWN}/"):
            run_step(definitions, instance, COLLECT)
        assert time.monotonic() - before_s >= 0.6
        first, second = warnings_of(instance)
    assert first.startswith("tried again in 0.2 s: ")
    assert second.startswith("tried again in 0.4 s: ")


def test_a_run_begins_with_the_checks_of_its_style(project: Project) -> None:
    style_file = project.styles_folder / f"{STYLE}.yaml"
    text = style_file.read_text()
    style_file.write_text(text.replace("a rocket]", f"{'very ' * 99}long]"))
    with open_history(project.root) as instance:
        with pytest.raises(RunFailedError, match="tokens long") as failed:
            run_step(build_definitions(project), instance, COLLECT)
        assert DOWN not in str(failed.value)
        assert warnings_of(instance) == []
        definitions = build_definitions(project, checks_first=False, retry_delays_s=())
        with pytest.raises(RunFailedError, match=f"{DOWN}/"):
            run_step(definitions, instance, COLLECT)


def test_what_a_further_try_would_not_mend_fails_at_once(project: Project) -> None:
    style_file = project.styles_folder / f"{STYLE}.yaml"
    text = style_file.read_text()
    begin, end = text.index("  - type: html"), text.index("images: {")
    style_file.write_text(text[:begin] + "  - {type: folder, path: nowhere}\n" + text[end:])
    with open_history(project.root) as instance:
        with pytest.raises(RunFailedError, match="nowhere"):
            run_step(build_definitions(project, retry_delays_s=(60.0,)), instance, COLLECT)
        assert warnings_of(instance) == []


def test_a_cancelled_run_is_not_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep, slept_s = time.sleep, []

    def interrupted(delay_s: float) -> None:
        slept_s.append(delay_s)
        os.kill(os.getpid(), signal.SIGINT)
        sleep(delay_s)

    before = signal.getsignal(signal.SIGTERM)
    definitions = build_definitions(project, retry_delays_s=(50.0, 60.0))
    with open_history(project.root) as instance:
        monkeypatch.setattr(
            materialise, "time", SimpleNamespace(sleep=interrupted, monotonic=time.monotonic)
        )
        try:
            with pytest.raises(KeyboardInterrupt):
                run_step(definitions, instance, COLLECT)
        finally:
            signal.signal(signal.SIGTERM, before)
        assert len(warnings_of(instance)) == 1
    assert slept_s == [50.0]


def test_a_run_whose_style_went_while_it_was_queued_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the daemon starts what was queued: by its tags alone.
    queued = {"dagster/partition": "gone"}
    monkeypatch.setattr(
        dg.JobDefinition, "get_tags_for_partition_key", lambda *_, **__: dict(queued)
    )
    with (
        open_history(project.root) as instance,
        pytest.raises(RunFailedError, match=r"^no style file declares gone any more$"),
    ):
        run_step(build_definitions(project), instance, COLLECT)
