"""Jobs by name: each stage is in one, and one after the other they make everything."""

from pathlib import Path

import dagster as dg
import pytest

from styledag.defs.code_location import build_definitions
from styledag.defs.jobs import PARTS, REFRESH
from styledag.graph.catalogue import Catalogue
from styledag.project import Project
from styledag_tests.whole.small_project import STYLE, make_project


@pytest.fixture
def project(tmp_path: Path, starter: Path) -> Project:
    return make_project(tmp_path, starter, "http://127.0.0.1:1")


def assets_of(project: Project, name: str) -> list[str]:
    job: dg.JobDefinition = build_definitions(project).resolve_job_def(name)
    return [key.to_user_string() for key in job.asset_layer.selected_asset_keys]


def test_every_stage_is_in_one_job_after_what_it_reads(project: Project) -> None:
    catalogue = Catalogue(project)
    made: set[str] = set()
    for name in PARTS:
        assets = assets_of(project, name)
        assert assets
        assert not made & set(assets)
        made |= set(assets)
        for asset in assets:
            read = {each.asset for each in catalogue.stages[asset].reads}
            assert read - catalogue.publisher_of.keys() <= made, asset
    assert made == catalogue.stages.keys() - catalogue.publisher_of.keys()


def test_the_refresh_only_asks_the_sources(project: Project) -> None:
    assert assets_of(project, REFRESH) == ["raw_images"]


def test_a_job_has_the_partitions_of_its_stages(project: Project) -> None:
    definitions = build_definitions(project)
    keys = {
        name: set(definitions.resolve_job_def(name).partitions_def.get_partition_keys())  # type: ignore[union-attr]
        for name in (*PARTS, REFRESH)
    }
    model = f"{STYLE}.full"
    assert keys == {
        "data": {STYLE},
        "train": {model},
        "draw_sweep": set(),
        "blend_parts": set(),
        "draw": {f"{model}@{weight}" for weight in ("0.00", "0.50", "1.00")},
        "show": {model},
        "publish_data": set(),
        "publish": set(),
        "refresh": {STYLE},
    }
