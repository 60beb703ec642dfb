"""Status says what a change of the style file would make anew, and why."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.graph.stages import read_stages
from styledag.graph.status import AssetStatus, style_status
from styledag.project import Project
from styledag.store.workspace import Workspace
from styledag_tests.whole.small_project import STYLE, make_project


def write(workspace: Workspace) -> dict[str, int]:
    (workspace.folder / "content").write_text("content")
    return {}


@pytest.fixture
def project(tmp_path: Path, starter: Path) -> Project:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    graph = Catalogue(project)
    for asset in ("style", "raw_images", "jpeg_images"):
        make(graph, asset)
    return project


def make(graph: Catalogue, asset: str) -> None:
    graph.store.build(plan_build(graph, asset, Partition(STYLE)).target, write)


def state_of(project: Project, asset: str) -> AssetStatus:
    return next(each for each in style_status(Catalogue(project), STYLE) if each.asset == asset)


def edit(project: Project, find: str, replace: str) -> None:
    path = project.styles_folder / f"{STYLE}.yaml"
    text = path.read_text(encoding="utf-8")
    assert find in text
    path.write_text(text.replace(find, replace), encoding="utf-8")


def test_what_is_there_is_current_and_what_follows_is_missing(project: Project) -> None:
    assert state_of(project, "jpeg_images").state == "current"
    curated = state_of(project, "curated_images")
    assert (curated.state, curated.version) == ("missing", None)
    assert "jpeg_images" not in curated.why


def test_a_changed_setting_is_named(project: Project) -> None:
    edit(project, "mode: pad", "mode: crop")
    jpeg = state_of(project, "jpeg_images")
    assert (jpeg.state, jpeg.why) == ("outdated", "settings changed: ImageSettings")
    assert state_of(project, "raw_images").state == "current"


def test_what_follows_an_outdated_asset_is_outdated(project: Project) -> None:
    edit(project, "title: h1.title", "title: h1.name")
    raw = state_of(project, "raw_images")
    assert (raw.state, raw.why) == ("outdated", "settings changed: sources")
    jpeg = state_of(project, "jpeg_images")
    assert (jpeg.state, jpeg.why) == ("outdated", "raw_images is outdated")


def test_a_raised_code_version_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    raised = [
        replace(stage, code_version="99") if stage.name == "raw_images" else stage
        for stage in read_stages()
    ]
    monkeypatch.setattr("styledag.graph.catalogue.read_stages", lambda: raised)
    raw = state_of(project, "raw_images")
    assert raw.state == "outdated"
    assert raw.why.endswith("is now 99")


def test_politeness_makes_nothing_anew(project: Project) -> None:
    edit(project, "delay_s: 0", "delay_s: 2")
    assert state_of(project, "raw_images").state == "current"
    assert state_of(project, "jpeg_images").state == "current"


def test_a_model_on_the_hub_is_compared_by_its_revision_without_asking_for_it(
    project: Project, starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(project, f"{{model: {starter}/blip}}", "{model: org/blip, revision: abc}")
    make(Catalogue(project), "curated_images")
    downloads = []

    def download(name: str, revision: str, **_: object) -> str:
        downloads.append((name, revision))
        return str(starter / "blip")

    files = [SimpleNamespace(rfilename=path.name) for path in (starter / "blip").iterdir()]
    answer = SimpleNamespace(sha="abc", siblings=files)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", lambda *_, **__: answer)
    make(Catalogue(project), "captions")
    assert downloads == [("org/blip", "abc")]
    assert state_of(project, "captions").state == "current"
    edit(project, "revision: abc", "revision: abd")
    captions = state_of(project, "captions")
    assert (captions.state, captions.why) == ("outdated", "captioner changed")
    assert len(downloads) == 1


def test_a_missing_model_breaks_only_what_reads_it(project: Project) -> None:
    edit(project, "/blip", "/no-blip")
    make(Catalogue(project), "curated_images")
    captions = state_of(project, "captions")
    assert captions.state == "broken"
    assert "no-blip" in captions.why
    assert state_of(project, "curated_images").state == "current"
