"""A stage is declared once: one file adds an asset to the graph, to status and to runs."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.defs.runs import run_step, steps_of
from styledag.graph import stages
from styledag.graph.catalogue import Catalogue
from styledag.graph.stage import Reads
from styledag.graph.stages import in_order, read_stages
from styledag.graph.status import style_status
from styledag.project import Project
from styledag_tests.whole.small_project import STYLE, make_project
from tools.assets_table import BEGIN, END, assets_table, with_table

TOY = '''"""The prompts of a style, one a line.

They are written in capitals.
"""

from styledag.graph.stage import Inputs, Reads, Settings, Stage
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def write_prompts(inputs: Inputs, workspace: Workspace) -> Facts:
    """Write the prompts."""
    text = inputs.settings["template"] + (inputs.folder("style") / "style.json").read_text()[:1]
    (workspace.folder / "prompts.txt").write_text(text)
    return {"prompts": 2}


STAGE = Stage(
    name="toy_prompts",
    grain="style",
    description=__doc__,
    group="images",
    kinds=frozenset({"text"}),
    code_version="1",
    run=write_prompts,
    settings=lambda declared: Settings(template=declared.style.description),
    reads=(Reads("style"),),
)
'''


@pytest.fixture
def project(tmp_path: Path, starter: Path) -> Iterator[Project]:
    before = Path.cwd()
    project = make_project(tmp_path / "project", starter, "http://127.0.0.1:1")
    os.chdir(project.root)
    yield project
    os.chdir(before)


@pytest.fixture
def _toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "toy_prompts.py").write_text(TOY)
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(tmp_path)])
    yield
    sys.modules.pop("styledag.graph.stages.toy_prompts", None)


@pytest.mark.usefixtures("_toy")
def test_one_file_adds_an_asset_everywhere(project: Project) -> None:
    definitions, catalogue = build_definitions(project), Catalogue(project)
    graph = definitions.resolve_asset_graph()
    parents = {
        key.to_user_string(): {each.to_user_string() for each in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert parents["toy_prompts"] == {"style", "style_file/toy_prompts"}
    first = steps_of(catalogue, STYLE)[0]
    assert "toy_prompts" in first.assets
    with open_history(project.root) as instance:
        made = run_step(definitions, instance, replace(first, assets=("style", "toy_prompts")))
    assert {each.asset: each.metadata.get("prompts") for each in made}["toy_prompts"] == 2
    artifact = catalogue.store.require("toy_prompts", STYLE)
    assert (artifact.folder / "prompts.txt").read_text() == "A small style.{"
    states = {each.asset: each.state for each in style_status(catalogue, STYLE)}
    assert states["toy_prompts"] == "current"
    assert "The prompts of a style, one a line |" in assets_table(read_stages())


def test_every_stage_follows_what_it_reads() -> None:
    seen: set[str] = set()
    for stage in read_stages():
        assert {each.asset for each in stage.reads} <= seen
        seen.add(stage.name)
    assert len(seen) >= 17


def test_a_stage_that_reads_what_no_stage_makes_is_named() -> None:
    known = {stage.name: stage for stage in read_stages()}
    lost = replace(known["captions"], reads=(Reads("pictures"),))
    with pytest.raises(ValueError, match=r"'captions' reads \['pictures'\]"):
        in_order({**known, "captions": lost})


def test_stages_that_read_one_another_are_named() -> None:
    known = {stage.name: stage for stage in read_stages()}
    circle = replace(known["raw_images"], reads=(Reads("captions"),))
    with pytest.raises(ValueError, match="read one another"):
        in_order({**known, "raw_images": circle})


def test_the_readme_has_the_table_of_the_stages() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert BEGIN in text
    assert END in text
    assert with_table(text) == text, "run `make readme`"
