"""A style whose base, sources and settings a test makes wrong."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from styledag.demo.wiki import DemoWiki, serve_wiki
from styledag.graph.catalogue import Catalogue
from styledag.models.compute import ComputeSettings
from styledag_tests.whole.small_project import CATEGORIES, STYLE, make_project

CPU = ComputeSettings(device="cpu")


@pytest.fixture(scope="module")
def wiki() -> Iterator[DemoWiki]:
    with serve_wiki(port=0, categories=CATEGORIES) as site:
        yield site


@pytest.fixture
def catalogue(tmp_path: Path, starter: Path, base: Path, wiki: DemoWiki) -> Catalogue:
    """A style on a copy of the tiny base, in the project's folder ``base``."""
    project = make_project(tmp_path / "project", starter, wiki.url)
    shutil.copytree(base, project.root / "base")
    edit(project.root, rf"{re.escape(str(starter))}/stable-diffusion", "base")
    return Catalogue(project)


def edit(root: Path, find: str, replace: str) -> None:
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    text = path.read_text(encoding="utf-8")
    changed = re.sub(find, replace, text)
    assert changed != text
    path.write_text(changed, encoding="utf-8")


def line_of(root: Path, text: str) -> int:
    lines = (root / "data" / "styles" / f"{STYLE}.yaml").read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)
