"""What a changed style file puts out of date: Dagster and `styledag status` report the same."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.graph.catalogue import Catalogue
from styledag.graph.stages import read_stages
from styledag.graph.status import style_status
from styledag.project import Project
from styledag_tests.whole.conftest import Undisturbed, copied
from styledag_tests.whole.small_project import MODEL, STYLE, edit, run_all

States = dict[tuple[str, str], str]
AS_DAGSTER = {"current": "FRESH", "outdated": "STALE", "missing": "MISSING"}
SHOWN = {"sample_grid", "evolution", "denoising", "scores", "model_report"}
FROM_TRAINING = {"ema_unet", "merged_unet", *SHOWN}
FROM_CAPTIONS = {"captions", "image_dataset", "encoded_dataset", *FROM_TRAINING}
FROM_SOURCES = {"raw_images", "jpeg_images", "curated_images", *FROM_CAPTIONS}


@pytest.fixture(scope="module")
def project(
    undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A copy of the project after a run of everything."""
    with copied(undisturbed, tmp_path_factory.mktemp("stale") / "project") as project:
        yield project


@pytest.fixture
def _restored(project: Project) -> Iterator[None]:
    """Write the style file as it was after the test."""
    path = project.styles_folder / f"{STYLE}.yaml"
    before = path.read_text("utf-8")
    yield
    path.write_text(before, "utf-8")


def look(instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
    """Let the sensor look at the style files once, and record what it found."""
    sensor = definitions.get_repository_def().get_sensor_def("style_files")
    with dg.build_sensor_context(
        instance=instance, repository_def=definitions.get_repository_def()
    ) as context:
        for event in sensor.evaluate_tick(context).asset_events:
            instance.report_runless_asset_event(event)


def in_dagster(project: Project) -> States:
    """Return what the web UI shows of each partition."""
    definitions = build_definitions(project)
    graph = definitions.resolve_asset_graph()
    with open_history(project.root) as instance:
        look(instance, definitions)
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return {
            (key.to_user_string(), partition): resolver.get_status(key, partition).value
            for key in graph.materializable_asset_keys
            for partition in graph.get(key).partitions_def.get_partition_keys()
        }


def in_status(project: Project) -> States:
    return {
        (each.asset, each.partition): AS_DAGSTER[each.state]
        for each in style_status(Catalogue(project), STYLE)
    }


def stale(states: States) -> set[str]:
    return {asset for (asset, _), state in states.items() if state == "STALE"}


def test_after_a_run_everything_is_fresh(project: Project) -> None:
    states = in_dagster(project)
    assert set(states.values()) == {"FRESH"}
    assert states == in_status(project)


@pytest.mark.parametrize(
    ("find", "replace", "concerned"),
    [
        ("    epochs: 2\n", "    epochs: 2\n    learning_rate: 0.002\n", FROM_TRAINING),
        ("    epochs: 2\n", "    epochs: 3\n", FROM_TRAINING),
        ("[a cat face, a rocket]", "[a cat face, a rocket, a car]", SHOWN),
        ("[0.0, 0.5, 1.0]", "[0.0, 0.5, 0.75, 1.0]", {"scores", "model_report"}),
        ("title: h1.title", "title: h1.name", FROM_SOURCES),
        (
            "num_beams: 1",
            "num_beams: 2",
            FROM_SOURCES - {"raw_images", "jpeg_images", "curated_images"},
        ),
        ("delay_s: 0", "delay_s: 2", set()),
    ],
    ids=["rate", "epochs", "prompt", "weight", "sources", "captions", "politeness"],
)
@pytest.mark.usefixtures("_restored")
def test_a_change_puts_out_of_date_what_it_concerns_and_no_more(
    project: Project, find: str, replace: str, concerned: set[str]
) -> None:
    edit(project, find, replace)
    states = in_dagster(project)
    decoders = {"vae_decoder", "merged_vae"}
    # The resolved style file is one document, which every change of it concerns.
    assert stale(states) - decoders == {*concerned, "style"}
    assert states == in_status(project)
    missing = {key for key, state in states.items() if state == "MISSING"}
    added = {(asset, f"{MODEL}@0.75") for asset in ("merged_unet", "sample_grid")}
    assert missing == (added if "0.75" in replace else set())


@pytest.mark.usefixtures("_restored")
def test_a_run_makes_everything_fresh_again(project: Project) -> None:
    edit(project, "[0.0, 0.5, 1.0]", "[0.0, 0.75, 1.0]")
    run_all(project)
    assert set(in_dagster(project).values()) == {"FRESH"}
    assert in_dagster(project) == in_status(project)


def test_a_raised_code_version_is_out_of_date_with_what_follows(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = [
        replace(stage, code_version="99") if stage.name == "jpeg_images" else stage
        for stage in read_stages()
    ]
    monkeypatch.setattr("styledag.graph.catalogue.read_stages", lambda: raised)
    with copied(undisturbed, tmp_path / "project") as project:
        states = in_dagster(project)
        assert stale(states) == FROM_SOURCES - {"raw_images"}
        assert states == in_status(project)
