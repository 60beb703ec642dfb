"""A style over a life: a change is carried as far as it is one, and nothing else starts."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.test_utils import create_run_for_test

from styledag.defs.automation import SENSOR, keep_fresh_sensor
from styledag.defs.runs import RunFailedError
from styledag.defs.switches import RefreshState, project_switches
from styledag.graph.catalogue import Catalogue
from styledag.store.digest import RECORD_FILE
from styledag_tests.defs.life import Life, living
from styledag_tests.defs.stand_ins import BROKEN, DIVERGES, DOWN, NEWS, add_images
from styledag_tests.whole.small_project import MODEL, STYLE, make_project

CHECKS = "checks: {max_shrink_share: 0.5}\n"

IMAGES = ["jpeg_images", "curated_images", "captions", "image_dataset"]
SHOWN = ["denoising, evolution, sample_grid", "scores", "model_report"]
TRAINED = ["ema_unet", "denoising, evolution, merged_unet", "sample_grid", "scores", "model_report"]


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory, starter: Path) -> Path:
    """A project with a style that has a `refresh`, of which nothing was made."""
    root = tmp_path_factory.mktemp("born") / "project"
    root.mkdir()
    shutil.copytree(starter / "stable-diffusion", root / "base", copy_function=os.link)
    project = make_project(root, starter, "http://127.0.0.1:1")
    shutil.copy(Path(__file__).parents[2] / "workspace.yaml", root)
    (root / "captions.json").write_text("{}")
    add_images(root, *(f"animal-{name}" for name in ("cat", "dog", "cow")), "food-fig")
    path = project.styles_folder / f"{STYLE}.yaml"
    text = path.read_text().replace(f"{starter}/stable-diffusion", "base")
    text = text.replace("captions:\n", "captions:\n  overrides: captions.json\n")
    text = text.replace("[0.0, 0.5, 1.0]", "[1.0]").replace("family_cap: 3", "family_cap: 5")
    path.write_text(f"{text}refresh: 0 3 * * *\nretrain: {{min_changed_images: 2}}\n{CHECKS}")
    return root


@pytest.fixture(scope="module")
def adult(born: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after the style was switched on and everything was made."""
    root = tmp_path_factory.mktemp("adult") / "project"
    shutil.copytree(born, root)
    with living(root) as life:
        life.switch_on()
        life.go_on()
    return root


@pytest.fixture
def life(born: Path, tmp_path: Path) -> Iterator[Life]:
    shutil.copytree(born, tmp_path / "project")
    with living(tmp_path / "project") as life:
        yield life


@pytest.fixture
def grown(adult: Path, tmp_path: Path) -> Iterator[Life]:
    """A style that is on, of which everything was made."""
    shutil.copytree(adult, tmp_path / "project")
    with living(tmp_path / "project") as life:
        yield life


def test_everything_is_made_once_it_is_switched_on(life: Life) -> None:
    assert life.tick() == set()
    life.switch_on()
    first = life.go_on()
    assert first[0] == "raw_images, style, vae_decoder"
    assert first[1:] == ["jpeg_images, merged_vae", *IMAGES[1:], "encoded_dataset", *TRAINED]
    assert life.decision() == "there is no model yet"


def test_news_are_carried_through_and_training_waits_for_enough(grown: Life) -> None:
    assert grown.refresh() == []

    add_images(grown.root, "animal-owl")
    assert grown.refresh() == IMAGES
    assert grown.decision().startswith("1 of 4 images changed since dataset ")
    assert grown.decision().endswith("the style file asks for 2 changed images: waiting")
    known = grown.decisions()
    assert grown.refresh() == []
    assert grown.decisions() == known

    add_images(grown.root, "animal-fox")
    assert grown.refresh() == [*IMAGES, "encoded_dataset", *TRAINED]
    assert grown.decision().startswith("2 of 4 images changed")


def test_an_old_model_is_trained_after_any_change(grown: Life) -> None:
    grown.edit("min_changed_images: 2", "min_changed_images: 9, max_age_days: 30")
    add_images(grown.root, "animal-owl")
    grown.refresh()
    assert grown.decision().endswith("or an age of 30 days: waiting")

    model = Catalogue(grown.project).store.require("ema_unet", MODEL)
    long_ago = time.time() - 31 * 86_400
    os.utime(model.folder / RECORD_FILE, (long_ago, long_ago))

    assert grown.go_on() == ["encoded_dataset", *TRAINED]
    assert ", 31.0 days ago" in grown.decision()


def test_images_that_are_gone_count_as_news(grown: Life) -> None:
    for name in ("animal-cat", "animal-dog"):
        (grown.root / NEWS / f"{name}.txt").unlink()
    assert grown.refresh()[:5] == [*IMAGES, "encoded_dataset"]
    assert grown.decision().startswith("2 of 4 images changed")


def test_a_dataset_that_shrank_stops_training_until_the_style_file_allows_it(grown: Life) -> None:
    for name in ("animal-cat", "animal-dog", "animal-cow"):
        (grown.root / NEWS / f"{name}.txt").unlink()
    assert grown.refresh() == IMAGES
    assert grown.decision() == (
        "stopped by image_dataset: dataset_not_shrunk: 1 images, after 4 of the last training; if "
        "that is meant, raise checks.max_shrink_share (now 0.5); limit 50%"
    )
    # By hand, too: the run ends with the sentence.
    with pytest.raises(RunFailedError, match="does not pass dataset_not_shrunk: 1 images"):
        grown.run("image_dataset", STYLE)
    grown.edit("max_shrink_share: 0.5", "max_shrink_share: 0.8")
    assert grown.refresh()[:2] == ["encoded_dataset, style", "ema_unet"]


def test_nothing_follows_a_model_that_an_error_is_found_in(grown: Life) -> None:
    grown.edit("epochs: 2", f"epochs: 2\n    learning_rate: {DIVERGES}")
    assert grown.go_on() == ["ema_unet, style"]
    with pytest.raises(RunFailedError, match="ema_unet does not pass loss_finite"):
        grown.run("ema_unet", MODEL)
    grown.edit(CHECKS, CHECKS.replace("{", "{errors: [], "))
    assert grown.go_on() == [f"{TRAINED[1]}, style", *TRAINED[2:]]


# Dagster's own, where a sensor's requests are looked at.
@pytest.mark.filterwarnings("ignore:Function `AssetSelection.keys` is deprecated")
def test_the_blends_of_a_model_are_asked_for_at_once(grown: Life) -> None:
    grown.edit("[1.0]", "[0.25, 0.5, 1.0]")
    grown.reload()
    repository = grown.definitions.get_repository_def()
    context = dg.build_sensor_context(instance=grown.instance, repository_def=repository)
    requests = repository.get_sensor_def(SENSOR).evaluate_tick(context).run_requests or ()
    asked = [each.asset_graph_subset for each in requests if each.requires_backfill_daemon()]
    (subset,) = (each for each in asked if each is not None)
    assert {
        (each.asset_key.to_user_string(), each.partition_key)
        for each in subset.iterate_asset_partitions()
    } == {
        ("merged_unet", f"{MODEL}@0.25"),
        ("merged_unet", f"{MODEL}@0.50"),
    }


def test_captions_edited_by_hand_count_as_news(grown: Life) -> None:
    edited = {"animal-cat": "a cat that sleeps", "animal-dog": "a dog that runs"}
    (grown.root / "captions.json").write_text(json.dumps(edited))
    assert grown.refresh() == ["captions", "image_dataset", "encoded_dataset", *TRAINED]


def test_a_rule_starts_as_much_as_it_changes(grown: Life) -> None:
    grown.edit("family_cap: 5", "family_cap: 4")
    assert grown.refresh() == ["curated_images, style"]
    grown.edit("family_cap: 4", "family_cap: 1")
    assert grown.refresh()[:4] == [
        "curated_images, style", "captions", "image_dataset", "encoded_dataset",
    ]  # fmt: skip


def test_settings_start_what_they_concern_at_once(grown: Life) -> None:
    grown.edit("batch_size: 8", "batch_size: 4")
    assert grown.refresh() == ["ema_unet, style", *TRAINED[1:]]
    assert grown.decision() == (
        "changed since the last training: settings changed: Recipe of ema_unet"
    )
    grown.edit("[a cat face, a rocket]", "[a cat face, a boat]")
    assert grown.refresh() == [f"{SHOWN[0]}, style", *SHOWN[1:]]
    # What decides no content starts nothing but the style's own record.
    grown.edit("delay_s: 0", "delay_s: 2")
    assert grown.refresh() == ["style"]


def test_another_revision_of_the_base_is_trained_at_once(grown: Life) -> None:
    scheduler = grown.root / "base" / "scheduler" / "scheduler_config.json"
    config = {**json.loads(scheduler.read_text()), "revised": True}
    scheduler.unlink()
    scheduler.write_text(json.dumps(config))
    assert "ema_unet" in grown.refresh()[0]
    assert grown.decision().endswith("base_unet changed of ema_unet")


def test_a_source_that_is_down_starts_nothing(grown: Life) -> None:
    (grown.root / DOWN).touch()
    with pytest.raises(RunFailedError, match="the source is down"):
        grown.run("raw_images", STYLE)
    assert grown.tick() == set()
    (grown.root / DOWN).unlink()
    assert grown.refresh() == []


def test_a_failed_build_is_asked_for_again_only_when_it_may_succeed(grown: Life) -> None:
    (grown.root / BROKEN).write_text("captions")
    add_images(grown.root, "animal-owl")
    for asset in ("raw_images", "jpeg_images", "curated_images"):
        grown.build(asset, STYLE)
    assert grown.tick() == {("captions", STYLE)}
    with pytest.raises(RunFailedError, match="captions is broken"):
        grown.run("captions", STYLE)
    assert grown.tick() == grown.tick() == set()
    (grown.root / BROKEN).unlink()
    # Other news: another outcome is possible.
    add_images(grown.root, "animal-fox")
    assert grown.refresh()[:4] == IMAGES


def recorded_run(life: Life, asset: str, partition: str, status: dg.DagsterRunStatus) -> None:
    """Put a run into the records that ran, or runs, in another process."""
    job = life.definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey(asset)}
    )
    tags = job.get_tags_for_partition_key(partition, selected_asset_keys=[dg.AssetKey(asset)])
    life.instance.create_run_for_job(
        job, status=status, tags=tags, asset_selection=frozenset({dg.AssetKey(asset)})
    )


@pytest.mark.parametrize("ended", [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE])
def test_a_cancelled_or_killed_build_is_not_asked_for_again(
    grown: Life, ended: dg.DagsterRunStatus
) -> None:
    grown.edit("batch_size: 8", "batch_size: 4")
    assert ("ema_unet", MODEL) in grown.tick()
    recorded_run(grown, "ema_unet", MODEL, ended)
    assert grown.tick() == set()


def test_what_is_being_built_is_not_asked_for(grown: Life) -> None:
    grown.edit("batch_size: 8", "batch_size: 4")
    recorded_run(grown, "ema_unet", MODEL, dg.DagsterRunStatus.STARTED)
    assert grown.tick() == {("style", STYLE)}


def test_styles_come_and_go_and_one_is_broken(grown: Life) -> None:
    styles = grown.project.styles_folder
    shutil.copy(styles / f"{STYLE}.yaml", styles / "second-style.yaml")
    (styles / "broken.yaml").write_text("refresh: [", "utf-8")
    grown.reload()
    # Nobody has switched it on yet.
    assert grown.tick() == set()
    grown.switch_on("second-style")
    asked = {("style", "second-style"), ("raw_images", "second-style")}
    # A recipe without a decoder has nothing to wait for.
    assert grown.tick() == {*asked, ("vae_decoder", "second-style.full")}
    (styles / "second-style.yaml").unlink()
    assert grown.tick() == set()
    grown.reload()
    assert grown.tick() == set()
    grown.edit("epochs: 2", "epochs: [")
    assert grown.tick() == set()
    grown.edit("epochs: [", "epochs: 3")
    assert grown.tick() == {("style", STYLE), ("ema_unet", MODEL)}


@pytest.mark.parametrize("mistake", ["epochs: [", "epochs: two"])
def test_a_schedule_outlasts_a_mistake_in_the_style_file(grown: Life, mistake: str) -> None:
    """Dagster forgets after 12 hours that a schedule that is gone was switched on."""
    grown.edit("epochs: 2", mistake)
    grown.reload()
    (schedule,) = grown.definitions.get_repository_def().schedule_defs
    assert (schedule.name, schedule.cron_schedule) == (f"refresh_{STYLE}", "0 3 * * *")
    states = project_switches(Catalogue(grown.project), grown.instance).states()
    assert states == [RefreshState(STYLE, "0 3 * * *", is_on=True)]
    assert grown.tick() == set()


@pytest.mark.parametrize("line", ["", "refresh: [", "refresh: 0 3 * *", "  refresh: 0 3 * * *"])
def test_a_broken_style_without_a_cron_string_has_no_schedule(grown: Life, line: str) -> None:
    (grown.project.styles_folder / "broken.yaml").write_text(f"base: [\n{line}\n", "utf-8")
    (grown.project.styles_folder / "No_style.yaml").write_text("refresh: 0 3 * * *\n", "utf-8")
    grown.reload()
    assert len(grown.definitions.get_repository_def().schedule_defs) == 1


def test_a_style_that_is_switched_off_is_left_alone(grown: Life) -> None:
    project_switches(Catalogue(grown.project), grown.instance).switch_off(STYLE)
    grown.edit("batch_size: 8", "batch_size: 4")
    assert grown.tick() == set()


def test_a_style_whose_file_lost_its_refresh_is_left_alone(grown: Life) -> None:
    grown.edit("refresh: 0 3 * * *\n", "")
    grown.edit("batch_size: 8", "batch_size: 4")
    assert grown.tick() == set()
    grown.reload()
    assert grown.tick() == set()


def test_training_by_hand_is_never_asked_for(grown: Life) -> None:
    grown.edit("retrain: {min_changed_images: 2}", "retrain: {by_hand: true}")
    grown.edit("batch_size: 8", "batch_size: 4")
    assert grown.go_on() == ["style"]
    assert grown.decision() == "the style file leaves training to be started by hand"


def test_automation_is_off_until_it_is_switched_on(life: Life) -> None:
    repository = life.definitions.get_repository_def()
    (schedule,) = repository.schedule_defs
    assert schedule.name == f"refresh_{STYLE}"
    assert schedule.cron_schedule == "0 3 * * *"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert keep_fresh_sensor().default_status == dg.DefaultSensorStatus.STOPPED
    context = dg.build_schedule_context(instance=life.instance, repository_def=repository)
    requested = schedule.evaluate_tick(context)
    assert [each.partition_key for each in requested.run_requests or ()] == [STYLE]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED])
def test_sources_are_not_asked_twice_at_a_time(life: Life, status: dg.DagsterRunStatus) -> None:
    repository = life.definitions.get_repository_def()
    (schedule,) = repository.schedule_defs
    context = dg.build_schedule_context(instance=life.instance, repository_def=repository)
    located = project_switches(Catalogue(life.project), life.instance).repository
    create_run_for_test(
        life.instance,
        job_name="refresh",
        status=status,
        tags={"dagster/partition": STYLE},
        remote_job_origin=located.get_full_job("refresh").get_remote_origin(),
        job_code_origin=JobPythonOrigin(
            "refresh",
            RepositoryPythonOrigin(
                sys.executable, ModuleCodePointer("styledag.definitions", "defs")
            ),
        ),
    )
    skipped = schedule.evaluate_tick(context)
    assert not skipped.run_requests
    assert skipped.skip_message == f"the sources of {STYLE} are still being asked"
