"""In which order stages and partitions are run, and which partitions a style declares."""

from itertools import groupby
from pathlib import Path

import pytest

from styledag.errors import StyleFileError
from styledag.graph.catalogue import Catalogue, partitions_of
from styledag.graph.names import Partition
from styledag_tests.whole.small_project import STYLE, make_project

SECOND = "  plain: {epochs: 5, snapshot_every_epochs: 2}\nblends:"


@pytest.fixture
def catalogue(tmp_path: Path, starter: Path) -> Catalogue:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    path = project.styles_folder / f"{STYLE}.yaml"
    path.write_text(path.read_text("utf-8").replace("blends:", SECOND), "utf-8")
    return Catalogue(project)


def test_one_model_is_finished_before_the_next_begins(catalogue: Catalogue) -> None:
    walked = [partition.model_key for _, partition in catalogue.walk(STYLE)]
    assert [key for key, _ in groupby(walked)] == [STYLE, f"{STYLE}.full", f"{STYLE}.plain"]
    only = {partition.model_key for _, partition in catalogue.walk(STYLE, ["plain"])}
    assert only == {STYLE, f"{STYLE}.plain"}


def test_each_partition_of_a_blend_is_finished_before_the_next(catalogue: Catalogue) -> None:
    blends = [
        (partition.part, stage.name)
        for stage, partition in catalogue.walk(STYLE, ["full"])
        if stage.grain == "blend"
    ]
    assert blends == [
        (weight, asset)
        for weight in ("0.00", "0.50", "1.00")
        for asset in ("merged_unet", "sample_grid")
    ]


def test_what_another_stage_publishes_is_not_run(catalogue: Catalogue) -> None:
    assert "checkpoint" not in {stage.name for stage, _ in catalogue.walk(STYLE)}


def test_checkpoints_are_those_that_the_recipe_keeps(catalogue: Catalogue) -> None:
    model = Partition(STYLE, "plain")
    epochs = partitions_of(catalogue.style(STYLE), model, "checkpoint")
    assert [each.key for each in epochs] == [f"{STYLE}.plain@e00{epoch}" for epoch in (2, 4, 5)]


def test_a_recipe_that_is_not_declared_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(StyleFileError, match="no recipe 'lora'; it has full, plain"):
        list(catalogue.walk(STYLE, ["lora"]))
