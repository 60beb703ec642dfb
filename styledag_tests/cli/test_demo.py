"""The demo as a new user runs it: everything is made, and the second time nothing is."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_runs_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    shutil.copytree(REPOSITORY / "data" / "starter", tmp_path / "data" / "starter")
    styles = tmp_path / "data" / "styles"
    styles.mkdir()
    shutil.copy(REPOSITORY / "data" / "styles" / "twemoji.yaml", styles)

    def demo() -> str:
        return subprocess.run(
            [sys.executable, "-m", "styledag", "demo"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    first, second = demo(), demo()
    assert "400 of 400 kept; 400 downloads" in first
    assert "make ui" in first
    assert "nothing changed" in second
    (report,) = tmp_path.glob("data/store/artifacts/model_report/*/*/report.html")
    assert report.relative_to(tmp_path).as_posix() in second
