"""A web UI whose processes are killed at random, and a person who starts again what ended."""

import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from styledag_tests.whole.test_web_ui import StyledagUi, eventually

log = logging.getLogger(__name__)

WAIT_S = 1200.0
"""For a run and Dagster's retry of it; one that is killed before it has reported its process ends
after three minutes, and each start of the web UI takes one on a busy machine."""
TRIES = 3
TRAINING = "ema_unet"
KINDS = {
    "daemon": "dagster._daemon",
    "code server": "api grpc",
    "keeper of the code server": "code-server start",
    "web server": "dagster_webserver",
    "dagster dev": "-m dagster dev",
    "run": "spawn_main",
}
"""What each kind of process has in its command line; a run trains in its own process."""
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
RELOAD = 'mutation { reloadRepositoryLocation(repositoryLocationName: "styledag") { __typename } }'
STATUS = """
query ($run: ID!) { runOrError(runId: $run) { ... on Run { status tags { key value } } } }
"""
NO_ANSWER = (AssertionError, OSError, TypeError, KeyError)


@dataclass
class Chaos:
    """Launches runs of one project and kills processes meanwhile.

    Attributes:
        root: The project.
        port: Where its web UI listens.
        seed: Decides which processes are killed, and after how long.
        killed: What was killed, by kind; ``training`` for the process of a run that trained.
    """

    root: Path
    port: int
    seed: int
    killed: list[str] = field(default_factory=list)
    _sessions: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self.ui = StyledagUi(self.root, self.port)
        self.start()

    def start(self) -> None:
        """Start the web UI, once nothing of the former one is left but runs.

        Raises:
            AssertionError: If the former one does not end by itself.
        """
        eventually(lambda: not self.alive().keys() - {"run"}, "the former one ends")
        self.ui.start()
        self._sessions.add(self.ui.pid)
        log.info("started")

    def alive(self) -> Mapping[str, list[psutil.Process]]:
        """Return the running processes of every web UI that was started, by kind."""
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
            for kind, mark in KINDS.items():
                if mark in line:
                    found.setdefault(kind, []).append(process)
        return found

    def build(self, assets: list[str], partition: str, *, kills: int) -> None:
        """Materialise assets, launched again after each run that did not end well.

        Args:
            assets: The assets.
            partition: Their partition.
            kills: How many processes to kill meanwhile at most.

        Raises:
            AssertionError: If runs that nothing disturbed do not end well, or one does not end.
        """
        aim, undisturbed = len(self.killed) + kills, 0
        while undisturbed < TRIES:
            before = len(self.killed)
            run = self._persist(lambda: self.ui.launch(assets, partition))
            status = self._disturbed_status(run, aim, trains=TRAINING in assets)
            log.info(f"{', '.join(assets)} of {partition}: {status}")
            if status == "SUCCESS":
                return
            # What was killed at the end of a run may fail the next one.
            undisturbed = 0 if len(self.killed) > before else undisturbed + 1
        raise AssertionError(f"{assets} of {partition}: {status} though nothing was killed")

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if not self.ui.has_ended:
            self.ui.interrupt()
        for processes in self.alive().values():
            for process in processes:
                process.kill()

    def _disturbed_status(self, run: str, aim: int, *, trains: bool) -> str:
        launched_at, deadline_s = time.time(), time.monotonic() + WAIT_S
        kill_at_s = time.monotonic() + self._dice.uniform(0, 12)
        while time.monotonic() < deadline_s:
            if len(self.killed) < aim:
                if trains and "training" not in self.killed:
                    self._kill_training(launched_at)
                elif time.monotonic() > kill_at_s:
                    self._kill_one()
                    kill_at_s = time.monotonic() + self._dice.uniform(1, 12)
            status = self._persist(lambda: self._status(run))
            if status not in UNFINISHED:
                return status
            time.sleep(0.5)
        raise AssertionError(f"run {run} has not ended; killed so far: {self.killed}")

    def _status(self, run: str) -> str:
        """Return the status of a run, or of the one by which Dagster retries it."""
        while True:
            found = self.ui.ask(STATUS, run=run)["runOrError"]
            tags = {each["key"]: each["value"] for each in found["tags"]}
            status = str(found["status"])
            if status != "FAILURE" or tags.get("dagster/will_retry") != "true":
                return status
            if "dagster/auto_retry_run_id" not in tags:
                return UNFINISHED[0]
            run = tags["dagster/auto_retry_run_id"]

    def _kill_one(self) -> None:
        """Kill a process of a random kind among those that were killed least often."""
        alive = self.alive()
        fewest = min(self.killed.count(kind) for kind in alive)
        kind = self._dice.choice(
            [each for each in KINDS if each in alive and self.killed.count(each) == fewest]
        )
        self._dice.choice(alive[kind]).kill()
        self.killed.append(kind)
        log.info(f"killed {kind}")

    def _kill_training(self, launched_at: float) -> None:
        """Kill the process of a run that trains, if it has saved a state since it was launched."""
        states = self.root / "data" / "store" / "work" / TRAINING
        saved = [path.stat().st_mtime for path in states.rglob("scratch/state/**/*.json")]
        if max(saved, default=0.0) > launched_at:
            for process in self.alive().get("run", ()):
                process.kill()
            self.killed.append("training")
            log.info("killed training")

    def _persist(self, ask: Callable[[], str]) -> str:
        """Return an answer of the web UI, mended as a person would where it has none."""
        for mend in (self._reload, self._reload, self.restart, self._reload, self.restart):
            try:
                return ask()
            except NO_ANSWER as exc:
                log.info(f"no answer: {exc!r:.200}")
                mend()
        return ask()

    def _reload(self) -> None:
        """Reload the code location, or start what has ended."""
        time.sleep(3)  # what a killed process takes with it has ended by then
        try:
            self.ui.ask(RELOAD)
        except NO_ANSWER:
            self.restart()

    def restart(self) -> None:
        """End the web UI, if it is there, and start it again."""
        if not self.ui.has_ended:
            self.ui.interrupt()
        self.start()
