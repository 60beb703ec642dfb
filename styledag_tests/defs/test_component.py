"""A style in somebody else's Dagster project, loaded as `dg` loads it."""

import json
from pathlib import Path

import dagster as dg
import pytest
from dagster.components import ScaffoldRequest
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.testing import create_defs_folder_sandbox

import styledag
from styledag.defs.component import FILE, ScaffoldParams, StyleScaffolder
from styledag.errors import StyledagError, StyleFileError
from styledag.style.load import load_style
from styledag_tests.whole.small_project import STYLE_FILE

# Both are Dagster's own, of how it reads components.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated"),
    pytest.mark.filterwarnings("ignore::dagster_shared.utils.warnings.BetaWarning"),
]

STYLE = "hiroshige"


def component_file(starter: Path, attributes: str = "") -> str:
    text = STYLE_FILE.format(starter=starter, wiki="http://127.0.0.1:1")
    indented = "".join(f"    {line}" for line in text.splitlines(keepends=True))
    return f"type: styledag.StyleComponent\nattributes:\n{attributes}  style:\n{indented}"


def loaded(text: str, *, name: str = STYLE, twice: bool = False) -> dg.Definitions:
    """Return the definitions of a project with a component, or with two."""
    with create_defs_folder_sandbox() as sandbox:
        for each in (name, "second") if twice else (name,):
            folder = sandbox.defs_folder_path / each
            folder.mkdir()
            (folder / FILE).write_text(text, encoding="utf-8")
        with sandbox.build_all_defs() as defs:
            return defs


def test_dg_finds_the_component_and_the_package_imports_no_stage() -> None:
    assert styledag.StyleComponent.__dg_package_entry__
    assert "StyleComponent" in dir(styledag)
    with pytest.raises(AttributeError, match="StyleComponents"):
        _ = styledag.StyleComponents


def test_assets_are_under_a_prefix_and_shown_as_the_project_asks(starter: Path) -> None:
    attributes = """\
  key_prefix: art/prints
  group_name: art
  owners: [team:art]
  tags: {paper: washi}
"""

    graph = loaded(component_file(starter, attributes)).resolve_asset_graph()

    nodes = list(graph.asset_nodes)
    assert {tuple(each.key.path[:2]) for each in nodes} == {("art", "prints")}
    assert {each.group_name for each in nodes} == {"art"}
    assert {tuple(each.owners) for each in nodes} == {("team:art",)}
    assert {each.tags["paper"] for each in nodes} == {"washi"}
    blends = graph.get(dg.AssetKey(["art", "prints", "merged_unet"]))
    assert blends.partitions_def is not None
    keys = [f"{STYLE}.full@0.00", f"{STYLE}.full@0.50", f"{STYLE}.full@1.00"]
    assert blends.partitions_def.get_partition_keys() == keys
    tuned = dg.AssetKey(["art", "prints", "ema_unet"])
    assert tuned in blends.parent_keys


def test_no_executor_pool_or_automation_is_forced_on_the_project(starter: Path) -> None:
    defs = loaded(component_file(starter))

    assert defs.executor is None
    assert not defs.jobs
    assert not defs.schedules
    graph = defs.resolve_asset_graph()
    assert {pool for each in graph.asset_nodes for pool in each.pools or ()} == set()
    assert all(each.automation_condition is None for each in graph.asset_nodes)


def test_two_styles_stand_side_by_side(starter: Path) -> None:
    defs = loaded(component_file(starter), twice=True)

    keys = {each.key for each in defs.resolve_asset_graph().asset_nodes}
    assert {dg.AssetKey([name, "ema_unet"]) for name in (STYLE, "second")} <= keys
    assert {f"{STYLE}_io_manager", "second_io_manager"} <= set(defs.resources or {})


def test_a_broken_style_keeps_its_key_and_names_the_line(starter: Path, tmp_path: Path) -> None:
    text = component_file(starter).replace("epochs: 2", "epochs: two")

    images = loaded(text).resolve_asset_graph().get(dg.AssetKey([STYLE, "raw_images"]))
    assert images.partitions_def is not None
    assert images.partitions_def.get_partition_keys() == [STYLE]
    path = tmp_path / FILE
    path.write_text(text, encoding="utf-8")
    line = text.splitlines().index("        epochs: two") + 1
    with pytest.raises(StyleFileError, match=rf"defs\.yaml:{line}: recipes\.full\.epochs"):
        load_style(path)


def test_what_reads_like_a_template_in_a_prompt_is_text(starter: Path, tmp_path: Path) -> None:
    """Dagster fills in what is one in ``defs.yaml``, and a wrong one stops the code location."""
    prompts = ["a cat face", "{# of signs", "100 {% off", "{{{best}}}, {{a.b.c}}", "{{ env.HOME }}"]
    text = component_file(starter).replace("[a cat face, a rocket]", json.dumps(prompts))

    grid = loaded(text).resolve_asset_graph().get(dg.AssetKey([STYLE, "sample_grid"]))
    assert grid.partitions_def is not None
    assert f"{STYLE}.full@0.50" in grid.partitions_def.get_partition_keys()
    path = tmp_path / FILE
    path.write_text(text, encoding="utf-8")
    assert list(load_style(path).samples.prompts) == prompts


def test_a_folder_whose_name_is_no_styles_is_refused(starter: Path) -> None:
    with pytest.raises(ComponentTreeException) as refused:
        loaded(component_file(starter), name="Hiroshige_")
    assert "rename the folder: " in str(refused.value.__cause__)


def test_a_second_component_in_the_file_is_refused(starter: Path) -> None:
    text = component_file(starter)

    with pytest.raises(ComponentTreeException) as refused:
        loaded(f"{text}---\n{text}")
    assert "has a further component" in str(refused.value.__cause__)


def test_the_scaffold_is_a_style_that_loads(tmp_path: Path) -> None:
    StyleScaffolder().scaffold(_request(tmp_path / STYLE, base="starter"))

    path = tmp_path / STYLE / FILE
    assert path.read_text("utf-8").startswith("type: styledag.StyleComponent\nattributes:\n")
    assert load_style(path).base.model.endswith("stable-diffusion")


@pytest.mark.parametrize(("name", "base"), [("Hiroshige", "starter"), (STYLE, "dall-e")])
def test_what_cannot_be_scaffolded_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, base: str
) -> None:
    with pytest.raises(StyledagError, match=r"Hiroshige|dall-e"):
        StyleScaffolder().scaffold(_request(tmp_path / name, base=base))
    assert not list(tmp_path.iterdir())


def _request(folder: Path, *, base: str) -> "ScaffoldRequest[ScaffoldParams]":
    return ScaffoldRequest(
        type_name="styledag.StyleComponent",
        target_path=folder,
        scaffold_format="yaml",
        project_root=folder.parent,
        params=ScaffoldParams(base=base),
    )
