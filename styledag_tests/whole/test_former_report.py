"""What a report says of the model before it, through the graph."""

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

from styledag.cli.main import cli
from styledag.demo.wiki import DemoWiki
from styledag.graph.catalogue import Catalogue
from styledag.graph.status import style_status
from styledag.project import Project
from styledag.store.artifact import Artifact
from styledag_tests.whole.small_project import MODEL, STYLE, make_project

BLENDS = "blends: {weights: [0.0, 0.5, 1.0]}\n"
SHORT, LONG = "    epochs: 1\n", "    epochs: 2\n"


@pytest.fixture
def project(tmp_path: Path, starter: Path, wiki: DemoWiki) -> Iterator[Project]:
    project = make_project(tmp_path, starter, wiki.url)
    edit(project, BLENDS, "blends: {weights: [1.0]}\n")
    edit(project, LONG, SHORT)
    with chdir(project.root):
        yield project


def edit(project: Project, old: str, new: str) -> None:
    path = project.styles_folder / f"{STYLE}.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def made(project: Project) -> dict[str, Artifact]:
    """Run the style and return its model and the report."""
    result = CliRunner().invoke(cli, ["run", MODEL, "--device", "cpu"])
    assert result.exception is None, result.output
    store = Catalogue(project).store
    return {asset: store.require(asset, MODEL) for asset in ("ema_unet", "model_report")}


def section(report: Artifact) -> str | None:
    page = BeautifulSoup((report.folder / "report.html").read_text("utf-8"), "html.parser")
    found = page.find(id="former")
    return None if found is None else found.get_text(" ", strip=True)


@pytest.mark.slow
def test_a_retrained_model_is_compared_with_the_one_before_it_whose_report_may_be_removed(
    project: Project,
) -> None:
    first = made(project)
    assert section(first["model_report"]) is None

    edit(project, SHORT, LONG)
    second = made(project)
    said = section(second["model_report"])
    assert said is not None
    assert first["ema_unet"].version[:8] in said
    assert "epochs: 1 is now 2" in said
    assert "images added" not in said

    again = made(project)
    assert again["model_report"].version == second["model_report"].version
    assert {each.state for each in style_status(Catalogue(project), STYLE)} == {"current"}

    edit(project, "weights: [1.0]", "weights: [0.5, 1.0]")
    with_another_blend = made(project)
    assert with_another_blend["ema_unet"].version == second["ema_unet"].version
    assert with_another_blend["model_report"].version != second["model_report"].version
    assert "epochs: 1 is now 2" in (section(with_another_blend["model_report"]) or "")

    report = with_another_blend["model_report"]
    former = report.build.settings["former"]
    assert former not in {each.version for each in report.build.inputs}
    result = CliRunner().invoke(cli, ["gc", "--delete"])
    assert result.exception is None, result.output
    store = Catalogue(project).store
    assert former not in store.versions("model_report", MODEL)
    assert made(project)["model_report"].version == report.version
    edit(project, "weights: [0.5, 1.0]", "weights: [1.0]")
    assert section(made(project)["model_report"]) is None
