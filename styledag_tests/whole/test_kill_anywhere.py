"""kill -9 in every stage, one after another: the next run ends in the same content."""

import os
import signal
from pathlib import Path

import pytest

from styledag.demo.wiki import DemoWiki
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.killed_run import killed_at
from styledag_tests.whole.small_project import MODEL, make_project, run_all

PLACES = (
    ("http", 9),
    ("publish raw_images", 1),
    ("jpeg", 5),
    ("captions", 7),
    ("moments", 4),
    ("train", 2),
    ("publish checkpoint", 2),
    ("merge", 200),
    ("samples", 3),
    ("publish model_report", 1),
)
BESIDE_A_THREAD = (("publish checkpoint", 1), ("train", 1))
"""In the thread that publishes the first epoch, and once the next run has published it."""


@pytest.mark.usefixtures("in_folder")
@pytest.mark.timeout(900)
def test_a_run_killed_in_every_stage_ends_in_the_same_versions(
    tmp_path: Path, starter: Path, wiki: DemoWiki, undisturbed: Undisturbed
) -> None:
    project = make_project(tmp_path / "killed", starter, wiki.url)
    for place, count in PLACES:
        assert killed_at(project.root, place, count) == -signal.SIGKILL, place
    os.chdir(project.root)
    finished = run_all(project)
    versions = finished.versions
    expected = undisturbed.outcome.versions
    assert versions == {key: expected[key] for key in versions}
    assert {key[0] for key in versions} == {key[0] for key in expected} - {"checkpoint"}
    assert list((project.root / "data/store/work").rglob("artifact")) == []


@pytest.mark.slow  # test_saving kills one while it writes
@pytest.mark.usefixtures("in_folder")
@pytest.mark.timeout(900)
def test_a_run_killed_while_a_thread_publishes_ends_in_the_same_versions(
    tmp_path: Path, starter: Path, wiki: DemoWiki, undisturbed: Undisturbed
) -> None:
    project = make_project(tmp_path / "killed", starter, wiki.url)
    for place, count in BESIDE_A_THREAD:
        ended = killed_at(project.root, place, count, in_background=True)
        assert ended == -signal.SIGKILL, place
    os.chdir(project.root)
    versions = run_all(project).versions
    assert versions == {key: undisturbed.outcome.versions[key] for key in versions}
    assert ("ema_unet", MODEL) in versions
