"""kill -9 of any process of the running graph, twenty times: the versions of an undisturbed run."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from styledag.cli.main import cli
from styledag.defs.opened_history import open_history
from styledag.defs.runs import steps_of
from styledag.demo.wiki import DemoWiki
from styledag.graph.catalogue import Catalogue
from styledag.graph.garbage import find_garbage, remove_garbage
from styledag.project import Project
from styledag_tests.whole.chaos import KINDS, UNFINISHED, Chaos
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import STYLE, make_project
from styledag_tests.whole.test_web_ui import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS, PORT, SEED = 20, 3181, 19
RUNS = """
{ runsOrError { ... on Runs { results { status eventConnection { events { __typename } } } } } }
"""
LOCAL = ("work/", "kept/", "compiled/", "items_used/", "items/preflight/")
"""Folders of the store with nothing published: what is in them depends on the project's folder."""


@pytest.fixture
def chaos(tmp_path: Path, starter: Path, wiki: DemoWiki) -> Iterator[Chaos]:
    make_project(tmp_path, starter, wiki.url)
    shutil.copy(Path(__file__).parents[2] / "workspace.yaml", tmp_path)
    chaos = Chaos(tmp_path, PORT, SEED)
    try:
        yield chaos
    finally:
        chaos.stop()


@pytest.mark.usefixtures("in_folder")
def test_twenty_killed_processes_change_no_version(chaos: Chaos, undisturbed: Undisturbed) -> None:
    project = Project.at(chaos.root)
    catalogue = Catalogue(project)
    steps = steps_of(catalogue, STYLE)
    for at, step in enumerate(steps):
        share = KILLS * (at + 1) // len(steps) - len(chaos.killed)
        chaos.build(list(step.assets), step.partition, kills=share)
    while len(chaos.killed) < KILLS:
        chaos.build(list(steps[-1].assets), steps[-1].partition, kills=KILLS - len(chaos.killed))
    assert {"training", *KINDS} <= set(chaos.killed)

    versions = versions_of(project)
    assert versions == versions_of(undisturbed.project)
    assert_history_is_readable(chaos, list(versions))
    chaos.ui.interrupt()
    eventually(lambda: not chaos.alive(), "no process is left")
    assert_nothing_is_left_but_garbage(catalogue, undisturbed.project)


def versions_of(project: Project) -> dict[tuple[str, str], str]:
    """Return the version of every current artifact, by asset and partition."""
    heads = Catalogue(project).store.heads()
    return {(each.asset, each.partition): each.version for each in heads}


def assert_history_is_readable(chaos: Chaos, made: list[tuple[str, str]]) -> None:
    """Look at the history as the web UI, the command line and SQLite do."""
    runs = chaos.ui.ask(RUNS)["runsOrError"]["results"]
    assert len(runs) > KILLS // 4
    assert [each for each in runs if each["status"] in UNFINISHED] == []
    assert all(each["eventConnection"]["events"] for each in runs)

    os.chdir(chaos.root)
    shown = CliRunner().invoke(cli, ["status", STYLE], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "current" in shown.output
    assert not any(word in shown.output for word in ("outdated", "missing", "broken"))

    with open_history(chaos.root) as instance:
        storage = instance.event_log_storage
        for pool in storage.get_concurrency_keys():
            assert storage.get_concurrency_info(pool).active_slot_count == 0
        for asset, partition in made:
            key = partition.replace("/", "@")
            records = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[key]), limit=1
            ).records
            assert records, f"{asset} of {key} is in the store and not in the history"
    for database in (chaos.root / "data" / ".dagster").rglob("*.db"):
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def assert_nothing_is_left_but_garbage(catalogue: Catalogue, undisturbed: Project) -> None:
    """Remove what `styledag gc` names, and walk what is left."""
    remove_garbage(catalogue, find_garbage(catalogue))
    assert find_garbage(catalogue) == []
    assert published(catalogue.project) == published(undisturbed)
    work = catalogue.project.root / "data" / "store" / "work"
    assert [path for path in work.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def published(project: Project) -> set[str]:
    """Return the files of the store that others may read."""
    root = project.root / "data" / "store"
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(LOCAL)}
