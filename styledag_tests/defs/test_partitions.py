"""Files that are no styles disturb no other, whatever their names and contents."""

from pathlib import Path

import pytest

from styledag.defs.code_location import build_definitions
from styledag.defs.partitions import read_partitions
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.stage import Reads
from styledag.project import Project
from styledag_tests.whole.small_project import STYLE, make_project


def keys(project: Project, asset: str) -> list[str]:
    """Dagster's keys of an asset's partitions."""
    stage = Catalogue(project).stages[asset]
    return list(read_partitions(project).definition(stage).get_partition_keys())


@pytest.mark.parametrize("name", ["Big Name", "a,b", "c|d", "a...b", "tab\tname", "a.b", "ü"])
def test_a_name_that_cannot_be_a_key_leaves_the_code_location_as_it_is(
    tmp_path: Path, starter: Path, name: str
) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    (project.styles_folder / f"{name}.yaml").write_text("description: no style\n", "utf-8")
    assert keys(project, "raw_images") == [STYLE]
    assert build_definitions(project).resolve_asset_graph().get_all_asset_keys()


def test_a_broken_file_a_folder_and_a_dangling_link_keep_their_keys(
    tmp_path: Path, starter: Path
) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    (project.styles_folder / "broken.yaml").write_text("base: [", "utf-8")
    (project.styles_folder / "folder.yaml").mkdir()
    (project.styles_folder / "link.yaml").symlink_to(tmp_path / "nowhere")
    assert set(keys(project, "raw_images")) == {STYLE, "broken", "folder", "link"}
    assert keys(project, "ema_unet") == [f"{STYLE}.full"]


def test_a_model_has_the_partitions_that_its_style_declares(tmp_path: Path, starter: Path) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    text = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
    other = text.replace("[0.0, 0.5, 1.0]", "[0.25]").replace("epochs: 2", "epochs: 1")
    (project.styles_folder / "other.yaml").write_text(other, "utf-8")
    assert keys(project, "merged_unet") == [
        "other.full@0.25",
        *(f"{STYLE}.full@{weight}" for weight in ("0.00", "0.50", "1.00")),
    ]
    assert keys(project, "checkpoint") == [
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
        defined = partitions.definition(stage)
        for reads in stage.reads:
            upstream = stages[reads.asset]
            mapping = partitions.mapping(upstream, stage, reads)
            for key in defined.get_partition_keys() if mapping else ():
                result = mapping.get_upstream_mapped_partitions_result_for_partitions(
                    defined.subset_with_partition_keys([key]),
                    defined,
                    partitions.definition(upstream),
                )
                read = set(result.partitions_subset.get_partition_keys())
                assert read or upstream.is_optional
                assert {Partition.parse(each).style for each in read} <= {
                    Partition.parse(key).style
                }
                looked_at += 1
    assert looked_at > 20


def test_only_a_style_that_publishes_has_partitions_of_what_is_published(
    tmp_path: Path, starter: Path
) -> None:
    """Nothing is missing in the web UI of a style without the section, and nothing is made."""
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    assert keys(project, "published_dataset") == keys(project, "published_model") == []
    text = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
    section = "publish: {dataset: ada/images, models: 'ada/{recipe}'}\n"
    (project.styles_folder / "shown.yaml").write_text(text + section, "utf-8")
    (project.styles_folder / "data.yaml").write_text(text + "publish: {dataset: a/b}\n", "utf-8")
    assert keys(project, "published_dataset") == ["data", "shown"]
    assert keys(project, "published_model") == ["shown.full"]
    partitions, stages = read_partitions(project), Catalogue(project).stages
    reads = Reads("image_dataset")
    mapping = partitions.mapping(stages["image_dataset"], stages["published_dataset"], reads)
    assert mapping is not None
    below = mapping.get_downstream_partitions_for_partitions(
        partitions.definition(stages["image_dataset"]).subset_with_all_partitions(),
        partitions.definition(stages["image_dataset"]),
        partitions.definition(stages["published_dataset"]),
    )
    assert set(below.get_partition_keys()) == {"data", "shown"}
