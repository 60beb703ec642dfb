"""`styledag ui` says what keeps it from starting, and starts beside whatever a project contains."""

import fcntl
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from styledag.cli.main import cli
from styledag.cli.ui import _safe_path, only_ui
from styledag.errors import StyledagError
from styledag.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return Project.create(tmp_path)


def ui(*arguments: str) -> str:
    """Return the error's sentence."""
    result = CliRunner().invoke(cli, ["ui", *arguments])
    assert isinstance(result.exception, StyledagError), result.output
    return str(result.exception)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(min(probe.getsockname()[1], 65534))


def test_a_taken_port_is_one_sentence(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert ui("--port", str(port)) == (
            f"port {port} of 127.0.0.1 cannot be used: Address already in use; "
            "`styledag ui --port` takes another"
        )


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("port", ["0", "65535", "70000"])
def test_a_port_without_a_next_one_for_pages_is_refused(port: str) -> None:
    result = CliRunner().invoke(cli, ["ui", "--port", port])
    assert result.exit_code == 2
    assert "is not in the range 1<=x<=65534" in result.output


def test_a_project_without_code_location_is_one_sentence(project: Project) -> None:
    (project.root / "workspace.yaml").unlink()
    assert re.search(r"workspace\.yaml is missing: `styledag init FOLDER` writes", ui())


@pytest.mark.parametrize("home", ["relative", "~/that-is-not-there", "/that-is-not-there"])
def test_a_home_of_dagster_that_is_no_folder_is_one_sentence(
    project: Project, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", home)
    sentence = ui("--port", free_port())
    assert sentence.startswith(f"DAGSTER_HOME is {home!r}: expected the full path of a folder")
    assert str(project.root / "dagster.yaml") in sentence


def test_a_second_web_ui_on_a_history_is_refused_with_the_place_of_the_first(
    project: Project,
) -> None:
    history = project.root / "data" / ".dagster"
    with only_ui(history) as lock:
        lock.write("at http://127.0.0.1:3000, in process 17")
        lock.flush()
        assert "open already, at http://127.0.0.1:3000, in process 17:" in ui("--port", free_port())
    with only_ui(history):
        pass


def test_a_web_ui_whose_command_was_killed_is_still_open(tmp_path: Path) -> None:
    with only_ui(tmp_path) as lock:
        sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
        process = subprocess.Popen(sleep, pass_fds=[lock.fileno()])
    with pytest.raises(StyledagError, match="open already"), only_ui(tmp_path):
        pass
    process.kill()
    process.wait()
    with only_ui(tmp_path):
        pass


def test_without_locks_the_web_ui_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with only_ui(tmp_path) as first, only_ui(tmp_path) as second:
        assert first.name == second.name == str(tmp_path / "ui.lock")


def test_no_module_of_the_project_s_folder_is_taken_for_another_s(tmp_path: Path) -> None:
    for name in ("random.py", "datasets.py"):
        (tmp_path / name).write_text("raise RuntimeError")
    environment = dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2])}
    # As Dagster loads a code location: without the first folder that modules are looked for in.
    load = "import random, sys; del sys.path[0]; import styledag.definitions"
    subprocess.run(
        [sys.executable, "-c", load],
        cwd=Project.create(tmp_path).root,
        env=environment | _safe_path(environment, tmp_path),
        check=True,
    )


SETTINGS = "telemetry: {enabled: false}\nnux: {enabled: false}\n"


def test_what_another_history_s_settings_lack_is_named(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text(SETTINGS)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setattr("styledag.cli.ui._serve_pages", _ended)
    result = CliRunner().invoke(cli, ["ui", "--port", free_port()])
    lines = result.output.splitlines()
    assert [line.partition(" has no ")[0] for line in lines] == [str(home / "dagster.yaml")] * 2
    assert "concurrency.pools.default_limit: several stages" in lines[0]
    assert "run_monitoring" in lines[1]
    monkeypatch.delenv("DAGSTER_HOME")
    assert CliRunner().invoke(cli, ["ui", "--port", free_port()]).output == ""


def _ended(*_: object) -> str:
    raise StyledagError("ended")
