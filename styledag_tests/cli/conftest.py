from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from styledag.cli.main import cli
from styledag_tests.cli.made_project import MadeProject, made_project

Call = Callable[..., str]


@pytest.fixture
def made(tmp_path: Path, starter: Path) -> MadeProject:
    root = tmp_path / "project"
    root.mkdir()
    return made_project(root, starter)


@pytest.fixture
def call(made: MadeProject) -> Call:
    """Call the command line on the project; return what it printed."""

    def called(*arguments: object) -> str:
        given = ["--project", str(made.root), *map(str, arguments)]
        result = CliRunner().invoke(cli, given)
        if result.exception is not None:
            raise result.exception
        return result.output

    return called
