"""The web UI's own processes, driven over GraphQL as a browser drives them."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from styledag.demo.wiki import DemoWiki
from styledag_tests.whole.conftest import Undisturbed, copied
from styledag_tests.whole.small_project import MODEL, STYLE, edit, make_project
from styledag_tests.whole.test_staleness import in_dagster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

WAIT_S = 240.0
LAUNCH = """
mutation ($parameters: ExecutionParams!) {
  launchPipelineExecution(executionParams: $parameters) {
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
CANCEL = "mutation ($run: String!) { terminateRun(runId: $run) { __typename } }"
STEPS = """
query ($run: ID!) {
  runOrError(runId: $run) { ... on Run { stepStats { stepKey startTime endTime } } }
}
"""
RETRIES = """
query ($run: String!) {
  runsOrError(filter: {tags: [{key: "dagster/parent_run_id", value: $run}]}) {
    ... on Runs { results { runId } }
  }
}
"""
IMAGE_ASSETS = [
    "style", "raw_images", "jpeg_images", "curated_images", "captions", "image_dataset",
]  # fmt: skip


class WebUi:
    """A ``dagster dev`` of one project, in a session of its own.

    Args:
        root: The project.
        port: Where it listens.
    """

    command = ("dagster", "dev", "--host", "127.0.0.1")

    def __init__(self, root: Path, port: int) -> None:
        self._root = root
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return once it answers."""
        command = [sys.executable, "-m", *self.command]
        with (self._root / "web-ui.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self._port)],
                cwd=self._root,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(lambda: self.ask("{ version }"), "the web UI answers")

    @property
    def pid(self) -> int:
        """The process that was started last, which leads its session."""
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether that process is gone."""
        return self._process is None or self._process.poll() is not None

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the data of a GraphQL answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def launch(self, assets: list[str], partition: str) -> str:
        """Launch a run of some assets for one partition and return its id."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "styledag",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]} for asset in assets],
        }
        tags = [{"key": "dagster/partition", "value": partition}]
        launched = self.ask(
            LAUNCH,
            parameters={
                "selector": selector,
                "mode": "default",
                "runConfigData": "{}",
                "executionMetadata": {"tags": tags},
            },
        )["launchPipelineExecution"]
        assert "run" in launched, launched
        return str(launched["run"]["runId"])

    def status(self, run: str) -> str:
        """Return a run's status, such as ``STARTED``."""
        return str(self.ask(STATUS, run=run)["runOrError"]["status"])

    def cancel(self, run: str) -> None:
        """Ask a run to end, as the web UI's button does."""
        self.ask(CANCEL, run=run)

    def has_begun(self, run: str, step: str) -> bool:
        """Return whether a run's step has begun and not ended."""
        stats = self.ask(STEPS, run=run)["runOrError"]["stepStats"]
        return any(
            each["startTime"] and not each["endTime"] for each in stats if each["stepKey"] == step
        )

    def retries(self, run: str) -> list[str]:
        """Return the ids of the runs that Dagster started since this one had failed."""
        return [each["runId"] for each in self.ask(RETRIES, run=run)["runsOrError"]["results"]]

    def interrupt(self) -> None:
        """End it as Ctrl-C in its terminal does."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(timeout=60)

    def kill_everything(self) -> None:
        """Kill the web server, the daemon, the code server and every run at once."""
        assert self._process is not None
        subprocess.run(["pkill", "-9", "-s", str(self._process.pid)], check=True)
        self._process.wait(timeout=60)


class StyledagUi(WebUi):
    """`styledag ui`, which serves the pages that the web UI links to as well."""

    command = ("styledag", "ui")


def eventually(holds: Callable[[], Any], what: str, wait_s: float = WAIT_S) -> None:
    """Wait until something holds, for longer than it takes on a busy machine.

    Raises:
        AssertionError: If it does not hold in time.
    """
    deadline_s = time.monotonic() + wait_s
    while time.monotonic() < deadline_s:
        try:
            if holds():
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.25)
    raise AssertionError(f"not within {wait_s:g} s: {what}")


@pytest.fixture
def web_ui(tmp_path: Path, starter: Path, wiki: DemoWiki) -> Iterator[WebUi]:
    with running_ui(tmp_path, starter, wiki, port=3177) as ui:
        yield ui


@contextmanager
def running_ui(root: Path, starter: Path, wiki: DemoWiki, *, port: int) -> Iterator[WebUi]:
    """Run the web UI over a project whose training takes minutes."""
    make_project(root, starter, wiki.url)
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    long = "epochs: 999\n    snapshot_every_epochs: 999\n"
    path.write_text(path.read_text().replace("epochs: 2\n", long))
    _write_workspace(root)
    with _running(WebUi(root, port)) as ui:
        yield ui


def _write_workspace(root: Path) -> None:
    repository = Path(__file__).parents[2]
    (root / "workspace.yaml").write_text((repository / "workspace.yaml").read_text())


@contextmanager
def _running(ui: WebUi) -> Iterator[WebUi]:
    ui.start()
    try:
        yield ui
    finally:
        ui.interrupt()


PARTITIONS = """
query ($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) { ... on AssetNode { partitionKeys } }
}
"""


def test_a_style_that_is_added_appears_by_itself(
    tmp_path: Path, starter: Path, wiki: DemoWiki
) -> None:
    project = make_project(tmp_path, starter, wiki.url)
    repository = Path(__file__).parents[2]
    (tmp_path / "workspace.yaml").write_text((repository / "workspace.yaml").read_text())
    ui = StyledagUi(tmp_path, 3179)
    ui.start()

    def models() -> list[str]:
        answer = ui.ask(PARTITIONS, asset={"path": ["ema_unet"]})
        return list(answer["assetNodeOrError"].get("partitionKeys", ()))

    try:
        eventually(lambda: models() == [MODEL], "the style is there")
        declared = (project.styles_folder / f"{STYLE}.yaml").read_bytes()
        (project.styles_folder / "second.yaml").write_bytes(declared)
        eventually(lambda: sorted(models()) == ["second.full", MODEL], "so is the second")
        made = ui.launch(["style"], "second")
        eventually(lambda: ui.status(made) == "SUCCESS", "it is made")
    finally:
        ui.interrupt()


@pytest.mark.parametrize("ending", ["ctrl-c", "kill -9 of everything"])
def test_a_training_that_lost_its_process_goes_on_once_when_the_ui_starts_again(
    web_ui: WebUi, ending: str
) -> None:
    images = web_ui.launch(IMAGE_ASSETS, STYLE)
    eventually(lambda: web_ui.status(images) == "SUCCESS", "the dataset is there")
    training = web_ui.launch(["encoded_dataset", "ema_unet"], MODEL)
    eventually(lambda: web_ui.status(training) == "STARTED", "training runs")
    time.sleep(15)
    assert web_ui.status(training) == "STARTED"

    if ending == "ctrl-c":
        web_ui.interrupt()
    else:
        web_ui.kill_everything()
    web_ui.start()

    eventually(lambda: web_ui.status(training) == "FAILURE", "its run has ended")
    eventually(lambda: web_ui.retries(training), "it is run once more")
    (retry,) = web_ui.retries(training)
    eventually(lambda: web_ui.status(retry) == "STARTED", "training goes on")
    following = web_ui.launch(["vae_decoder"], MODEL)
    time.sleep(15)
    web_ui.cancel(retry)
    eventually(lambda: web_ui.status(following) == "SUCCESS", "the pool is free")
    assert web_ui.status(retry) == "CANCELED"
    assert web_ui.retries(retry) == []
    assert len(web_ui.retries(training)) == 1


def test_a_cancel_ends_a_training_however_early_it_comes(web_ui: WebUi) -> None:
    images = web_ui.launch(IMAGE_ASSETS, STYLE)
    eventually(lambda: web_ui.status(images) == "SUCCESS", "the dataset is there")
    encoded = web_ui.launch(["encoded_dataset"], MODEL)
    eventually(lambda: web_ui.status(encoded) == "SUCCESS", "it is encoded")

    for after_s in (0.0, 0.4, 0.8, 1.2, 1.6, 2.0, 3.0, 4.0):  # while libraries are imported
        training = web_ui.launch(["ema_unet"], MODEL)
        eventually(lambda run=training: web_ui.has_begun(run, "ema_unet"), "training has begun")
        time.sleep(after_s)
        assert processes_that_run(training)
        web_ui.cancel(training)
        eventually(lambda run=training: not processes_that_run(run), "its process has ended", 60)
        eventually(lambda run=training: web_ui.status(run) == "CANCELED", "it is cancelled", 60)


@pytest.mark.parametrize(
    ("number", "to_group"),
    [
        (signal.SIGINT, True),  # as a terminal sends it
        (signal.SIGINT, False),
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
    ],
)
def test_every_way_of_ending_the_command_ends_all_its_processes(
    tmp_path: Path, starter: Path, wiki: DemoWiki, number: signal.Signals, to_group: bool
) -> None:
    make_project(tmp_path, starter, wiki.url)
    repository = Path(__file__).parents[2]
    (tmp_path / "workspace.yaml").write_text((repository / "workspace.yaml").read_text())
    with (tmp_path / "ui.log").open("wb") as log:
        command = [sys.executable, "-m", "styledag", "ui", "--port", "3178"]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    eventually(lambda: answers("http://127.0.0.1:3178/server_info"), "it answers")
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(timeout=60) == 0
    eventually(lambda: not processes_of(process.pid), "no process is left")


def processes_of(session: int) -> list[bytes]:
    found = subprocess.run(["pgrep", "-s", str(session)], capture_output=True, check=False)
    return found.stdout.split()


def processes_that_run(run: str) -> list[bytes]:
    found = subprocess.run(["pgrep", "-f", run], capture_output=True, check=False)
    return found.stdout.split()


def answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bool(answer.status == 200)


BACKFILL = """
mutation ($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) {
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
BACKFILLED = """
query ($backfill: String!) {
  partitionBackfillOrError(backfillId: $backfill) { ... on PartitionBackfill { status } }
}
"""
RUNS_OF = """
query ($backfill: String!) {
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $backfill}]}) {
    ... on Runs { results { status assetMaterializations { partition } } }
  }
}
"""


def test_a_backfill_over_many_blends_is_one_run(undisturbed: Undisturbed, tmp_path: Path) -> None:
    weights = [f"{weight / 100:.2f}" for weight in range(0, 101, 10)]
    with copied(undisturbed, tmp_path / "project") as project:
        edit(project, "[0.0, 0.5, 1.0]", f"[{', '.join(weights)}]")
        _write_workspace(project.root)
        with _running(WebUi(project.root, port=3180)) as ui:
            parameters = {
                "assetSelection": [{"path": ["merged_unet"]}, {"path": ["sample_grid"]}],
                "partitionNames": [f"{MODEL}@{weight}" for weight in weights],
            }
            launched = ui.ask(BACKFILL, parameters=parameters)["launchPartitionBackfill"]
            backfill = launched["backfillId"]

            def has_ended() -> bool:
                found = ui.ask(BACKFILLED, backfill=backfill)["partitionBackfillOrError"]
                return str(found["status"]).startswith("COMPLETED")

            eventually(has_ended, "the backfill ends")
            (run,) = ui.ask(RUNS_OF, backfill=backfill)["runsOrError"]["results"]
        assert run["status"] == "SUCCESS"
        assert len(run["assetMaterializations"]) == 2 * len(weights)
        states = in_dagster(project)
        for asset in ("merged_unet", "sample_grid"):
            assert {states[asset, f"{MODEL}@{weight}"] for weight in weights} == {"FRESH"}
