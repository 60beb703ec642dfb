"""A day's work in the web UI, by a real browser: build, look, keep fresh, cancel, resume.

Only waiting for what a backfill or a schedule has started is done over GraphQL, since a page shows
what is going on and not that nothing follows any more.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from styledag.dataset.read import read_dataset
from styledag.demo.wiki import DemoWiki
from styledag.graph.catalogue import Catalogue
from styledag.graph.status import style_status
from styledag.project import Project
from styledag_tests.whole.browser import CHROMIUM, Browser, browsing
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import MODEL, STYLE, edit, make_project
from styledag_tests.whole.test_web_ui import StyledagUi, WebUi, eventually, processes_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is not there"),
]
PORT = 3183
WAIT_S = 1500.0
BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { status } } } }"
BUILDS = """
query ($asset: AssetKeyInput!) {
  assetOrError(assetKey: $asset) { ... on Asset { assetMaterializations { partition } } }
}
"""


def builds(ui: WebUi, root: Path) -> Counter[str]:
    """Return how often each asset was materialised."""
    found: Counter[str] = Counter()
    for asset in Catalogue(Project.at(root)).stages:
        answer = ui.ask(BUILDS, asset={"path": [asset]})["assetOrError"]
        found[asset] = len(answer.get("assetMaterializations", ()))
    return found


@pytest.fixture
def ui(tmp_path: Path, starter: Path, wiki: DemoWiki) -> Iterator[StyledagUi]:
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install playwright")
    project = make_project(tmp_path, starter, wiki.url)
    repository = Path(__file__).parents[2]
    shutil.copy(repository / "workspace.yaml", tmp_path)
    edit(
        project, "description: A small style.", "description: A small style.\nrefresh: '* * * * *'"
    )
    ui = StyledagUi(tmp_path, PORT)
    ui.start()
    try:
        yield ui
    finally:
        ui.interrupt()


@pytest.mark.usefixtures("in_folder")
def test_a_day_s_work(
    ui: StyledagUi, tmp_path: Path, wiki_folder: Path, undisturbed: Undisturbed
) -> None:
    os.chdir(tmp_path)
    catalogue = Catalogue(Project.at(tmp_path))
    with browsing(f"http://127.0.0.1:{PORT}") as browser:
        browser.materialise_everything()
        eventually(lambda: backfills(ui) == ["COMPLETED_SUCCESS"], "all is made", WAIT_S)
        assert {each.state for each in style_status(catalogue, STYLE)} == {"current"}
        model = catalogue.store.require("ema_unet", MODEL)
        assert model.version == undisturbed.outcome.versions["ema_unet", MODEL]

        _follow_a_checkpoint_to_its_images(browser, catalogue)
        _keep_fresh(browser, ui, tmp_path, wiki_folder)
        assert catalogue.store.require("ema_unet", MODEL).version == model.version
        _cancel_and_resume(browser, ui, catalogue)


def backfills(ui: WebUi) -> list[str]:
    """Return the status of every backfill."""
    found = ui.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
    return [each["status"] for each in found]


def _follow_a_checkpoint_to_its_images(browser: Browser, catalogue: Catalogue) -> None:
    problems: list[str] = []
    browser.page.context.on("weberror", lambda error: problems.append(str(error.error)))
    browser.page.context.on(
        "console",
        lambda message: (
            problems.append(message.text)
            if message.type == "error" and f":{PORT + 1}/" in message.location["url"]
            else None
        ),
    )
    browser.open_partition("checkpoint", f"{MODEL}@e002")
    dataset = catalogue.store.require("image_dataset", STYLE)
    images = sum(1 for _ in read_dataset(dataset.folder))
    with browser.following("open_dataset") as data:
        data.metadata("version").get_by_text(dataset.version).wait_for()
        with data.following("open_contact_sheet") as sheet:
            kept = sheet.page.locator("figure:not(.out)")
            assert kept.count() == images
            assert sheet.shown_images() >= images
    with browser.following("open_thumbnails") as thumbnails:
        assert thumbnails.shown_images() == 1
    with browser.following("open_report") as report:
        assert MODEL in report.page.title()
        assert report.shown_images() > 10
    assert problems == []


def _keep_fresh(browser: Browser, ui: WebUi, root: Path, wiki_folder: Path) -> None:
    """Add an image that curation leaves out: it is captioned by nobody, and trains nothing."""
    before = builds(ui, root)
    added = wiki_folder / "food" / "purple-worm.png"
    added.parent.mkdir(exist_ok=True)
    Image.radial_gradient("L").resize((400, 10)).convert("RGB").save(added)
    try:
        for name in ("keep_fresh", f"refresh_{STYLE}"):
            browser.switch(name, on=True)
        eventually(
            lambda: builds(ui, root)["captions"] > before["captions"],
            "the news is on its way",
            WAIT_S,
        )
        settled = builds(ui, root)
        eventually(
            lambda: builds(ui, root)["raw_images"] >= settled["raw_images"] + 2,
            "no more news",
            WAIT_S,
        )
        done = {asset for asset, count in (builds(ui, root) - before).items() if count}
    finally:
        added.unlink()
        for name in ("keep_fresh", f"refresh_{STYLE}"):
            browser.switch(name, on=False)
    assert done - {"style"} == {"raw_images", "jpeg_images", "curated_images", "captions"}
    browser.open_partition("curated_images", STYLE)
    browser.metadata("rejected_too_narrow").get_by_role("cell", name="1", exact=True).wait_for()


def _cancel_and_resume(browser: Browser, ui: StyledagUi, catalogue: Catalogue) -> None:
    """Cancel a training: its process ends, and the next run goes on from its state."""
    edit(catalogue.project, "epochs: 2\n", "epochs: 60\n    snapshot_every_epochs: 60\n")
    run = browser.materialise("ema_unet", MODEL)
    browser.page.get_by_text("STEP_START").first.wait_for()
    work = catalogue.store.files.cache / "work" / "ema_unet"
    eventually(lambda: list(work.rglob("scratch/state/**/*.json")), "a state is saved", WAIT_S)
    before = len(_run_processes(ui))
    browser.cancel_run()
    eventually(lambda: ui.status(run) == "CANCELED", "it is canceled")
    eventually(lambda: len(_run_processes(ui)) < before, "its process is gone")

    run = browser.materialise("ema_unet", MODEL)
    eventually(lambda: ui.status(run) == "SUCCESS", "it is trained to its end", WAIT_S)
    model = catalogue.store.require("ema_unet", MODEL)
    browser.open_partition("ema_unet", MODEL)
    steps = int(browser.metadata("did_steps").get_by_role("cell").nth(1).inner_text())
    assert 0 < steps < model.facts["steps"]


def _run_processes(ui: StyledagUi) -> list[bytes]:
    """Return the processes that the code server started for runs."""
    started = []
    for pid in processes_of(ui.pid):
        line = Path(f"/proc/{int(pid)}/cmdline")
        if line.exists() and b"spawn_main" in line.read_bytes():
            started.append(pid)
    return started
