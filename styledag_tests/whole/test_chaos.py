"""kill -9 of any process of the running graph, twenty times: the versions of an undisturbed run."""

import os
import random
import shutil
import sqlite3
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psutil
import pytest

from styledag.defs.runs import open_history, steps_of
from styledag.demo.wiki import DemoWiki
from styledag.graph.catalogue import Catalogue
from styledag.graph.garbage import find_garbage, remove_garbage
from styledag.graph.status import style_status
from styledag.project import Project
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import STYLE, make_project
from styledag_tests.whole.test_web_ui import StyledagUi, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS, PORT, SEED = 20, 3181, 19
WAIT_S = 600.0
KINDS = {
    "daemon": "dagster._daemon",
    "code server": "api grpc",
    "its keeper": "code-server start",
    "web server": "dagster_webserver",
    "dagster dev": "-m dagster dev",
    "run": "spawn_main",
}
"""What each kind of process has in its command line; a run trains in its own process."""
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")


@dataclass
class Chaos:
    """A web UI whose processes are killed at random, and started again as a person would.

    Attributes:
        root: The project.
        killed: Kinds of process that were killed.
    """

    root: Path
    killed: list[str] = field(default_factory=list)
    _dice: random.Random = field(default_factory=lambda: random.Random(SEED))
    _sessions: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ui = StyledagUi(self.root, PORT)
        self.start()

    def start(self) -> None:
        """Start the web UI, once nothing of the former one is left but runs.

        Raises:
            AssertionError: If the former one does not end by itself.
        """
        eventually(lambda: not self.alive().keys() - {"run"}, "the former one ends")
        self.ui.start()
        self._sessions.add(self.ui.pid)

    def restart(self) -> None:
        """End the web UI, whose processes may no longer find each other, and start it again."""
        self.ui.interrupt()
        self.start()

    def alive(self) -> Mapping[str, list[psutil.Process]]:
        """Return the running processes by kind."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) not in self._sessions:
                    continue
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                line = " ".join(process.cmdline())
            except (psutil.Error, ProcessLookupError):
                continue
            for kind, marks in KINDS.items():
                if marks in line:
                    found.setdefault(kind, []).append(process)
        return found

    def kill_one(self) -> None:
        """Kill a process of a random kind."""
        alive = self.alive()
        kind = self._dice.choice(sorted(alive))
        self._dice.choice(alive[kind]).kill()
        self.killed.append(kind)

    def build(self, assets: list[str], partition: str, *, kills: int) -> None:
        """Materialise assets, launched again after each run that did not end well.

        Args:
            assets: The assets.
            partition: Their partition.
            kills: How many processes to kill meanwhile at most.
        """
        aim = len(self.killed) + kills
        for _ in range(KILLS + 2):
            run = self._persist(lambda: self.ui.launch(assets, partition))
            status = self._disturbed_status(run, aim)
            if status == "SUCCESS":
                return
        raise AssertionError(f"{assets} of {partition} end as {status} without being disturbed")

    def _disturbed_status(self, run: str, aim: int) -> str:
        deadline_s = time.monotonic() + WAIT_S
        kill_at_s = time.monotonic() + self._dice.uniform(1, 15)
        while time.monotonic() < deadline_s:
            if time.monotonic() > kill_at_s and len(self.killed) < aim:
                self.kill_one()
                kill_at_s = time.monotonic() + self._dice.uniform(5, 20)
            status = self._persist(lambda: self.ui.status(run))
            if status not in UNFINISHED:
                return status
            time.sleep(0.5)
        raise AssertionError(f"run {run} has not ended; killed so far: {self.killed}")

    def _persist(self, ask: Callable[[], str]) -> str:
        """Return an answer of the web UI, which is started again where it cannot give one."""
        for _ in range(5):
            try:
                return ask()
            except (AssertionError, OSError, urllib.error.URLError, TypeError):
                time.sleep(3)  # a code server may be on its way back
                if self.ui.has_ended:
                    self.start()
                else:
                    self.restart()
        return ask()


@pytest.fixture
def chaos(tmp_path: Path, starter: Path, wiki: DemoWiki) -> Iterator[Chaos]:
    make_project(tmp_path, starter, wiki.url)
    repository = Path(__file__).parents[2]
    shutil.copy(repository / "workspace.yaml", tmp_path)
    chaos = Chaos(tmp_path)
    try:
        yield chaos
    finally:
        for processes in chaos.alive().values():
            for process in processes:
                process.kill()


def published(project: Project) -> set[str]:
    """Return the files of the store, but for the local ones of work in progress."""
    root = project.root / "data" / "store"
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    local = ("work/", "kept/", "compiled/")
    return {name for name in found if not name.startswith(local)}


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
    made = {(each.asset, each.partition): each.version for each in catalogue.store.heads()}
    expected = {
        (each.asset, each.partition): each.version
        for each in Catalogue(undisturbed.project).store.heads()
    }
    assert made == expected
    os.chdir(project.root)
    assert {each.state for each in style_status(catalogue, STYLE)} == {"current"}

    chaos.ui.interrupt()
    eventually(lambda: not chaos.alive(), "no process is left")
    remove_garbage(catalogue, find_garbage(catalogue))
    assert find_garbage(catalogue) == []
    assert published(project) - published(undisturbed.project) == set()
    assert list((project.root / "data/store/work").rglob("artifact")) == []

    for database in (project.root / "data" / ".dagster").rglob("*.db"):
        with sqlite3.connect(database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with open_history(project.root) as instance:
        runs = instance.get_runs()
        assert all(run.is_finished for run in runs)
        assert all(instance.all_logs(run.run_id) for run in runs)
        infos = instance.event_log_storage.get_concurrency_info("gpu")
        assert infos.active_slot_count == 0
        for asset, partition in expected:
            key = partition.replace("/", "@")
            records = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[key]), limit=1
            ).records
            assert records, f"{asset} of {key} is in the store and not in the history"
