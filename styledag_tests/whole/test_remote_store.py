"""The whole graph on a store that is no local folder: the same versions, and no stage knows."""

import os
import uuid
from pathlib import Path

import pytest

from styledag.demo.wiki import DemoWiki
from styledag.project import Project
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import make_project, run_all


@pytest.mark.slow
@pytest.mark.usefixtures("in_folder")
def test_a_store_behind_fsspec_holds_the_same_versions(
    tmp_path: Path,
    starter: Path,
    wiki: DemoWiki,
    undisturbed: Undisturbed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where copies of a remote store lie
    root = make_project(tmp_path / "project", starter, wiki.url).root
    project = Project.at(root, f"memory://{uuid.uuid4().hex}")
    os.chdir(root)
    assert run_all(project).versions == undisturbed.outcome.versions
    assert run_all(project).work == {}
    assert not (root / "data" / "store").exists()
