"""The command line's runs: what each materialises together."""

from pathlib import Path

from styledag.defs.partitions import read_partitions
from styledag.defs.runs import steps_of
from styledag.graph.catalogue import Catalogue
from styledag_tests.whole.small_project import STYLE, make_project

SECTIONS = "publish: {to: folder, dataset: images, models: 'models/{recipe}'}\n"


def test_a_style_that_asks_for_more_than_its_neighbour_has_runs_that_dagster_starts(
    tmp_path: Path, starter: Path
) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    text = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
    swept = text.replace("[0.0, 0.5, 1.0]", "[0.0, 1.0], sweep: [0.5]")
    (project.styles_folder / "more.yaml").write_text(swept + SECTIONS, "utf-8")
    catalogue, partitions = Catalogue(project), read_partitions(project)
    steps = steps_of(catalogue, "more")
    for step in steps:
        stages = [catalogue.stages[asset] for asset in step.assets]
        assert len({partitions.of(stage) for stage in stages}) == 1, step
    made = {asset for step in steps for asset in step.assets}
    assert {"published_dataset", "sweep", "published_model"} < made
    assert [asset for step in steps for asset in step.assets] == [
        stage.name for stage, _ in catalogue.walk("more")
    ]
