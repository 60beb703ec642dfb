"""The runs by which the command line brings a style up to date."""

from itertools import chain
from pathlib import Path

import dagster as dg

from styledag.defs.code_location import build_definitions
from styledag.defs.runs import steps_of
from styledag.graph.catalogue import Catalogue
from styledag_tests.whole.small_project import STYLE, make_project


def test_a_style_that_asks_for_more_than_others_is_run_beside_them(
    tmp_path: Path, starter: Path
) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    text = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
    more = text.replace("1.0]}", "1.0], sweep: [0.25]}")
    more += "publish: {dataset: ada/images, models: 'ada/{recipe}'}\n"
    (project.styles_folder / "more.yaml").write_text(more, "utf-8")
    catalogue = Catalogue(project)
    job = build_definitions(project).resolve_implicit_global_asset_job_def()

    steps = steps_of(catalogue, "more")

    made = list(chain.from_iterable(step.assets for step in steps))
    assert made == [stage.name for stage, _ in catalogue.walk("more")]
    assert {"sweep", "published_dataset", "published_model"} <= set(made)
    for step in steps:
        keys = {dg.AssetKey(asset) for asset in step.assets}
        subset = job.get_subset(asset_selection=frozenset(keys))
        assert subset.get_tags_for_partition_key(step.partition, selected_asset_keys=list(keys))
