"""Files that are no styles disturb no other, whatever their names and contents."""

from pathlib import Path

import pytest

from styledag.defs.code_location import build_definitions
from styledag.defs.partitions import read_partitions
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag_tests.whole.small_project import STYLE, make_project


@pytest.mark.parametrize("name", ["Big Name", "a,b", "c|d", "a...b", "tab\tname", "a.b", "ü"])
def test_a_name_that_cannot_be_a_key_leaves_the_code_location_as_it_is(
    tmp_path: Path, starter: Path, name: str
) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    (project.styles_folder / f"{name}.yaml").write_text("description: no style\n", "utf-8")
    keys = read_partitions(project).definitions["style"].get_partition_keys()
    assert keys == [STYLE]
    assert build_definitions(project).resolve_asset_graph().get_all_asset_keys()


def test_a_broken_file_a_folder_and_a_dangling_link_keep_their_keys(
    tmp_path: Path, starter: Path
) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    (project.styles_folder / "broken.yaml").write_text("base: [", "utf-8")
    (project.styles_folder / "folder.yaml").mkdir()
    (project.styles_folder / "link.yaml").symlink_to(tmp_path / "nowhere")
    definitions = read_partitions(project).definitions
    assert set(definitions["style"].get_partition_keys()) == {STYLE, "broken", "folder", "link"}
    assert definitions["model"].get_partition_keys() == [f"{STYLE}.full"]


def test_a_model_has_the_partitions_that_its_style_declares(tmp_path: Path, starter: Path) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    text = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
    other = text.replace("[0.0, 0.5, 1.0]", "[0.25]").replace("epochs: 2", "epochs: 1")
    (project.styles_folder / "other.yaml").write_text(other, "utf-8")
    definitions = read_partitions(project).definitions
    assert definitions["blend"].get_partition_keys() == [
        "other.full@0.25",
        *(f"{STYLE}.full@{weight}" for weight in ("0.00", "0.50", "1.00")),
    ]
    assert definitions["checkpoint"].get_partition_keys() == [
        "other.full@e001",
        f"{STYLE}.full@e001",
        f"{STYLE}.full@e002",
    ]


def test_no_partition_asks_for_one_that_cannot_be(tmp_path: Path, starter: Path) -> None:
    """Two styles of other epochs and weights: nothing of the one is read for the other."""
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    text = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
    other = text.replace("[0.0, 0.5, 1.0]", "[0.25]").replace("epochs: 2", "epochs: 7")
    (project.styles_folder / "other.yaml").write_text(other, "utf-8")
    partitions, stages = read_partitions(project), Catalogue(project).stages
    looked_at = 0
    for stage in stages.values():
        for upstream in {stages[reads.asset].grain for reads in stage.reads}:
            mapping = partitions.mapping(upstream, stage.grain)
            for key in partitions.definitions[stage.grain].get_partition_keys() if mapping else ():
                result = mapping.get_upstream_mapped_partitions_result_for_partitions(
                    partitions.definitions[stage.grain].subset_with_partition_keys([key]),
                    partitions.definitions[stage.grain],
                    partitions.definitions[upstream],
                )
                read = set(result.partitions_subset.get_partition_keys())
                assert read
                assert {Partition.parse(each).style for each in read} == {
                    Partition.parse(key).style
                }
                looked_at += 1
    assert looked_at > 20
