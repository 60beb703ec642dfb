"""One run makes many blends, as a backfill of Dagster's asks for: each has a version of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from styledag.bases.base import TextEncoder
from styledag.bases.stable_diffusion import StableDiffusion
from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.models.compute import ComputeSettings
from styledag.project import Project
from styledag_tests.whole.conftest import Undisturbed, copied
from styledag_tests.whole.small_project import MODEL, STYLE, edit
from styledag_tests.whole.test_staleness import in_dagster, in_status

BLENDS = ("merged_unet", "sample_grid")


@pytest.fixture
def project(undisturbed: Undisturbed, tmp_path: Path) -> Iterator[Project]:
    with copied(undisturbed, tmp_path / "project") as project:
        yield project


def run_range(project: Project, first: str, last: str) -> dg.ExecuteInProcessResult:
    """Run both assets for a range of their partitions, as one run of a backfill does."""
    job = build_definitions(
        project, compute=ComputeSettings(device="cpu")
    ).resolve_implicit_global_asset_job_def()
    with open_history(project.root) as instance:
        return job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(asset) for asset in BLENDS],
            tags={
                ASSET_PARTITION_RANGE_START_TAG: f"{MODEL}@{first}",
                ASSET_PARTITION_RANGE_END_TAG: f"{MODEL}@{last}",
            },
            raise_on_error=False,
        )


def versions(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str | None], str]:
    made: dict[tuple[str, str | None], str] = {}
    for event in result.get_asset_materialization_events():
        assert event.asset_key is not None
        key = event.asset_key.to_user_string(), event.partition
        assert key not in made
        made[key] = str(event.materialization.metadata["version"].value)
        tags = event.materialization.tags or {}
        assert tags["dagster/data_version"] == made[key]
        assert (tags["styledag/style"], tags["styledag/recipe"]) == (STYLE, "full")
    return made


def test_a_backfill_asks_for_one_run(project: Project) -> None:
    graph = build_definitions(project).resolve_asset_graph()
    single = {
        key.to_user_string()
        for key in graph.materializable_asset_keys
        if graph.get(key).backfill_policy == dg.BackfillPolicy.single_run()
    }
    assert single == {*BLENDS, "merged_parts"}


def test_each_partition_of_one_run_has_its_own_version(
    project: Project, undisturbed: Undisturbed
) -> None:
    result = run_range(project, "0.00", "1.00")
    assert result.success
    expected = {
        key: version for key, version in undisturbed.outcome.versions.items() if key[0] in BLENDS
    }
    assert versions(result) == expected
    assert len(set(expected.values())) == len(expected)


def test_what_one_run_made_is_fresh_until_it_is_not(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(project, "[0.0, 0.5, 1.0]", "[0.25, 0.5, 0.75, 1.0]")
    load, loaded = StableDiffusion.text_encoder, []

    def counted(base: StableDiffusion, **options: Any) -> TextEncoder:
        if options["device"] != "meta":  # shapes alone
            loaded.append(base)
        return load(base, **options)

    monkeypatch.setattr(StableDiffusion, "text_encoder", counted)
    result = run_range(project, "0.25", "1.00")
    assert result.success
    assert len(loaded) == 1
    assert len(versions(result)) == 8
    made = {
        (asset, f"{MODEL}@{weight}"): "FRESH"
        for asset in BLENDS
        for weight in ("0.25", "0.50", "0.75", "1.00")
    }
    states = in_dagster(project)
    assert {key: states[key] for key in made} == made
    assert states == in_status(project)
    edit(project, "num_inference_steps: 4", "num_inference_steps: 5")
    states = in_dagster(project)
    assert {key[0] for key in made if states[key] == "STALE"} == {"sample_grid"}
    assert states == in_status(project)


def test_a_blend_that_fails_keeps_no_other_from_being_made(project: Project) -> None:
    edit(project, "recipes:\n", "recipes:\n  untrained: {epochs: 1}\n")
    mixed = f"{{both: {{{MODEL}: 0.5, {STYLE}.untrained: 0.5}}}}"
    edit(project, "[0.0, 0.5, 1.0]", f"[0.5, 0.75, 1.0], mixed: {mixed}")
    result = run_range(project, "0.50", "both")
    assert not result.success
    blended = dg.DagsterEventType.ASSET_MATERIALIZATION
    with open_history(project.root) as instance:
        logged = [
            entry.get_dagster_event() for entry in instance.all_logs(result.run_id, of_type=blended)
        ]
    assert [event.partition for event in logged] == [
        f"{MODEL}@{weight}" for weight in ("0.50", "0.75", "1.00")
    ]
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert (told.description or "").startswith(f"1 of 4 partitions failed:\n{MODEL}@both: ")
