"""`styledag schedule` switches what the daemon looks at."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from styledag.cli.main import cli
from styledag.defs.opened_history import open_history
from styledag.errors import StyleFileError
from styledag_tests.whole.small_project import STYLE, make_project

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path, starter: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_project(tmp_path / "project", starter, "http://127.0.0.1:1").root
    shutil.copy(REPOSITORY / "workspace.yaml", root)
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    path.write_text(path.read_text() + "refresh: 0 3 * * *\n")
    monkeypatch.chdir(root)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return root


def schedule(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["schedule", *arguments])
    if result.exception is not None:
        raise result.exception
    return result


def running(root: Path) -> set[str]:
    """Return the names of what the daemon would look at, as its own records have it."""
    with open_history(root) as instance:
        states = instance.all_instigator_state()
        return {state.instigator_name for state in states if state.is_running}


def test_a_style_is_switched_on_and_off(root: Path) -> None:
    assert schedule("list").output.split()[-1] == "off"
    assert running(root) == set()
    assert f"{STYLE} is refreshed at 0 3 * * * (UTC)" in schedule("on", STYLE).output
    assert running(root) == {f"refresh_{STYLE}", "keep_fresh"}
    assert schedule("list").output.split()[-1] == "on"
    assert "no longer" in schedule("off", STYLE).output
    assert running(root) == set()


def test_a_style_without_refresh_is_refused(root: Path) -> None:
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    path.write_text(path.read_text().replace("refresh: 0 3 * * *\n", ""))
    with pytest.raises(StyleFileError, match="has no refresh: write one into its file"):
        schedule("on", STYLE)
    assert schedule("list").output.startswith("no style here has a refresh: write one")


@pytest.mark.parametrize("lost", ["refresh", "style"])
def test_what_was_on_is_switched_off_though_no_file_asks_for_it_any_more(
    root: Path, lost: str
) -> None:
    schedule("on", STYLE)
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    if lost == "refresh":
        path.write_text(path.read_text().replace("refresh: 0 3 * * *\n", ""))
    else:
        path.unlink()
    assert running(root) == {f"refresh_{STYLE}", "keep_fresh"}
    assert "no longer" in schedule("off", STYLE).output
    assert running(root) == set()
    with pytest.raises(StyleFileError):
        schedule("off", STYLE)
