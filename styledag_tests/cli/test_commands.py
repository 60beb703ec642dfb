"""The commands that look but do not run, and the time it takes to ask."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from styledag.cli.main import cli, main
from styledag.errors import ModelError, StyleFileError
from styledag.style.model import SCHEMA_FILE, style_schema
from styledag_tests.whole.small_project import STYLE, make_project

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path, starter: Path) -> Path:
    return make_project(tmp_path, starter, "http://127.0.0.1:1").root


def call(root: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["--project", str(root), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_status_names_what_was_never_made(root: Path) -> None:
    exit_code, output = call(root, "status", STYLE, "--json")
    rows = json.loads(output)[STYLE]
    assert exit_code == 0
    assert {row["state"] for row in rows} == {"missing"}
    assert [row["asset"] for row in rows][:2] == ["style", "raw_images"]
    assert any(row["partition"] == f"{STYLE}.full@0.50" for row in rows)


def test_status_as_a_table_shows_every_asset(root: Path) -> None:
    _, output = call(root, "status")
    assert "model_report" in output
    assert "missing" in output


def test_status_of_several_styles_counts_their_assets_by_state(root: Path) -> None:
    styles = root / "data" / "styles"
    shutil.copy(styles / f"{STYLE}.yaml", styles / "other.yaml")
    rows = json.loads(call(root, "status", "--json")[1])["other"]
    _, output = call(root, "status")
    shown = {line.split()[0]: line.split()[1:4] for line in output.splitlines()}
    assert shown["other"] == shown[STYLE] == [str(len(rows)), "style:", "never"]


def test_status_reports_a_broken_file_beside_the_others(root: Path) -> None:
    (root / "data" / "styles" / "broken.yaml").write_text("base: [", encoding="utf-8")
    result = CliRunner().invoke(cli, ["--project", str(root), "status", "--json"])
    assert isinstance(result.exception, StyleFileError)
    rows = json.loads(result.output)
    assert [row["state"] for row in rows["broken"]] == ["broken"]
    assert "broken.yaml" in rows["broken"][0]["why"]
    assert len(rows[STYLE]) > 10


def test_the_committed_schema_is_the_current_one() -> None:
    committed = REPOSITORY / "data" / "styles" / SCHEMA_FILE
    assert committed.read_text("utf-8") == style_schema(), "run `make schema`"


def test_demo_without_its_starter_is_refused_with_the_remedy(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    with pytest.raises(ModelError, match=r"data/starter is no folder; copy data/starter from"):
        call(tmp_path, "demo")


@pytest.mark.parametrize(
    ("decided", "spin"), [({}, "10000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)]
)
def test_idle_threads_spin_for_a_moment_unless_the_user_has_decided(
    decided: dict[str, str], spin: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", decided)
    monkeypatch.setattr(sys, "argv", ["styledag", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ.get("GOMP_SPINCOUNT") == spin
