"""Kept fresh by the real web UI and its daemon: an image is added, and a new model is there."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from PIL import Image

from styledag.cli.main import cli
from styledag.dataset.read import read_captions
from styledag.defs.opened_history import open_history
from styledag.graph.catalogue import Catalogue
from styledag.graph.lineage import find_ancestor
from styledag.graph.status import style_status
from styledag.project import Project
from styledag.store.artifact import Artifact
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import MODEL, STYLE
from styledag_tests.whole.test_web_ui import answers, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
PORT = 3185


@contextmanager
def web_ui(root: Path) -> Iterator[None]:
    """Run `styledag ui` in a project until the block ends."""
    command = [sys.executable, "-m", "styledag", "ui", "--port", str(PORT)]
    with (root / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=root, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{PORT}/server_info"), "it answers")
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
        process.wait(timeout=120)


@pytest.fixture
def project(undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of which everything was made, whose sources are asked every other minute."""
    root = tmp_path / "project"
    shutil.copytree(undisturbed.project.root, root, copy_function=os.link)
    repository = Path(__file__).parents[2]
    (root / "workspace.yaml").write_text((repository / "workspace.yaml").read_text())
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    text = path.read_text()
    path.unlink()
    path.write_text(f"{text}refresh: '*/2 * * * *'\n")
    database = root / "data" / ".dagster"
    shutil.rmtree(database)
    shutil.copytree(undisturbed.project.root / "data" / ".dagster", database)
    monkeypatch.chdir(root)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return Project.at(root)


def schedule(switch: str) -> None:
    result = CliRunner().invoke(cli, ["schedule", switch, STYLE], catch_exceptions=False)
    assert result.exit_code == 0


def builds(instance: dg.DagsterInstance, asset: str) -> int:
    return len(instance.fetch_materializations(dg.AssetKey(asset), limit=100).records)


def all_builds(instance: dg.DagsterInstance, project: Project) -> dict[str, int]:
    """Return how often each asset was materialised, but for the one that asks the sources."""
    stages = Catalogue(project).stages.keys() - {"raw_images"}
    return {asset: builds(instance, asset) for asset in stages}


def test_an_image_that_is_added_becomes_a_new_model(project: Project, wiki_folder: Path) -> None:
    catalogue = Catalogue(project)
    old = catalogue.store.require("ema_unet", MODEL)
    old_dataset = catalogue.store.require("image_dataset", STYLE)
    schedule("on")
    added = wiki_folder / "animals" / "purple-dragon.png"
    added.parent.mkdir(exist_ok=True)
    with web_ui(project.root), open_history(project.root) as instance:

        def refreshed(times: int) -> None:
            wanted = builds(instance, "raw_images") + times
            eventually(
                lambda: builds(instance, "raw_images") >= wanted, "it is refreshed", wait_s=900
            )

        # The wiki has no news. The style file is another one than before, which concerns nothing.
        refreshed(times=1)
        quiet = all_builds(instance, project)
        assert catalogue.store.require("ema_unet", MODEL).version == old.version
        assert quiet["style"] == 2
        assert quiet["jpeg_images"] == quiet["ema_unet"] == quiet["model_report"] == 1

        image = Image.radial_gradient("L").resize((72, 72))
        Image.merge("RGB", (image, Image.new("L", (72, 72), 30), image)).save(added)
        try:
            eventually(lambda: is_new(catalogue, old), "there is a new model", wait_s=1500)
            refreshed(times=2)
            after = all_builds(instance, project)
            refreshed(times=1)
            assert all_builds(instance, project) == after
        finally:
            added.unlink()
            schedule("off")
    dataset = find_ancestor(
        catalogue.store, catalogue.store.require("ema_unet", MODEL), "image_dataset"
    )
    assert len(read_captions(dataset.folder)) == len(read_captions(old_dataset.folder)) + 1


def is_new(catalogue: Catalogue, old: Artifact) -> bool:
    """Return whether everything is current, and the model another one."""
    states = {each.state for each in style_status(catalogue, STYLE)}
    version = catalogue.store.require("ema_unet", MODEL).version
    return states == {"current"} and version != old.version
