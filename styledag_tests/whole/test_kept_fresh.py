"""A style over a while: what is due is built, what has not changed starts nothing."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from styledag.defs.automation import keep_fresh_sensor
from styledag.defs.code_location import build_definitions
from styledag.defs.runs import RunFailedError, Step, open_history, run_step
from styledag.models.compute import ComputeSettings
from styledag.progress import SilentProgress
from styledag.project import Project
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import MODEL, STYLE

Requests = set[tuple[str, str]]


@dataclass
class Life:
    """A project whose automation is looked at tick by tick."""

    project: Project
    instance: dg.DagsterInstance
    cursor: Any = field(default=None)

    def definitions(self) -> dg.Definitions:
        return build_definitions(
            self.project,
            progress_of=lambda _: SilentProgress(),
            compute=ComputeSettings(device="cpu"),
            retry_delays_s=(),
        )

    def tick(self) -> Requests:
        """Return what the automation asks for now."""
        definitions = self.definitions()
        result = dg.evaluate_automation_conditions(
            definitions, self.instance, dg.AssetSelection.all(), cursor=self.cursor
        )
        self.cursor = result.cursor
        return {
            (key.to_user_string(), str(partition))
            for key in definitions.resolve_asset_graph().materializable_asset_keys
            for partition in result.get_requested_partitions(key)
        }

    def build(self, requests: Requests) -> None:
        for asset, partition in sorted(requests):
            run_step(self.definitions(), self.instance, Step((asset,), partition))

    def go_on(self) -> list[Requests]:
        """Build what is due until nothing is, and return what each tick asked for."""
        ticks = []
        while requests := self.tick():
            self.build(requests)
            ticks.append(requests)
        return ticks

    def edit(self, find: str, replace: str) -> None:
        path = self.project.styles_folder / f"{STYLE}.yaml"
        text = path.read_text("utf-8")
        assert find in text
        path.write_text(text.replace(find, replace), "utf-8")

    def refresh(self) -> None:
        self.build({("raw_images", STYLE)})

    def decisions(self) -> list[str]:
        records = self.instance.fetch_observations(dg.AssetKey("ema_unet"), limit=10).records
        return [str(each.asset_observation.metadata["why"].value) for each in records]  # type: ignore[union-attr]


@pytest.fixture
def life(undisturbed: Undisturbed, tmp_path: Path) -> Iterator[Life]:
    root = tmp_path / "project"
    shutil.copytree(undisturbed.project.root, root)
    before = Path.cwd()
    os.chdir(root)
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    path.write_text(path.read_text() + "refresh: 0 3 * * *\nretrain: {min_changed_images: 2}\n")
    with open_history(root) as instance:
        yield Life(Project.at(root), instance)
    os.chdir(before)


def add_image(folder: Path, name: str, level: int) -> Path:
    path = folder / "animals" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    image = Image.radial_gradient("L").resize((72, 72))
    Image.merge("RGB", (image, Image.new("L", (72, 72), level), image)).save(path)
    return path


def stages(ticks: list[Requests]) -> list[str]:
    return [", ".join(sorted({asset for asset, _ in requests})) for requests in ticks]


def test_a_changed_setting_rebuilds_what_it_concerns(life: Life) -> None:
    life.go_on()
    life.edit("classifier:", "copying_percentile: 6.0\n  classifier:")
    assert stages(life.go_on()) == ["scores, style", "model_report"]


def test_a_style_without_refresh_is_left_alone(life: Life) -> None:
    life.edit("refresh: 0 3 * * *\n", "")
    life.edit("[a cat face, a rocket]", "[a cat face, a boat]")
    assert life.tick() == set()


def test_training_by_hand_is_never_asked_for(life: Life) -> None:
    life.go_on()
    life.edit("retrain: {min_changed_images: 2}", "retrain: {by_hand: true}")
    life.edit("batch_size: 8", "batch_size: 4")
    assert life.go_on() == [{("style", STYLE)}]
    assert life.decisions()[0] == "the style file leaves training to be started by hand"


def test_a_changed_recipe_is_trained_at_once(life: Life) -> None:
    life.go_on()
    life.edit("batch_size: 8", "batch_size: 4")
    assert life.tick() == {("style", STYLE), ("ema_unet", MODEL)}
    assert life.decisions()[0] == "the settings of ema_unet have changed"


def test_what_failed_is_asked_for_again_only_when_it_may_succeed(life: Life) -> None:
    life.go_on()
    life.edit("/clip}", "/no-clip}")
    requests = life.tick()
    for asset, partition in requests - {("style", STYLE)}:
        with pytest.raises(RunFailedError):
            life.build({(asset, partition)})
    life.build(requests & {("style", STYLE)})
    assert life.tick() == set()
    life.edit("/no-clip}", "/clip}")
    assert life.go_on() == [{("style", STYLE)}]


def test_a_broken_style_file_stops_no_other_and_asks_for_nothing(life: Life) -> None:
    life.go_on()
    (life.project.styles_folder / "broken.yaml").write_text("refresh: [", "utf-8")
    life.cursor = None
    assert life.tick() == set()


def test_automation_is_off_until_it_is_switched_on(life: Life) -> None:
    repository = life.definitions().get_repository_def()
    (schedule,) = repository.schedule_defs
    assert schedule.name == f"refresh_{STYLE}"
    assert schedule.cron_schedule == "0 3 * * *"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert keep_fresh_sensor().default_status == dg.DefaultSensorStatus.STOPPED
    names = {each.name for each in repository.sensor_defs}
    assert names == {"style_files", "keep_fresh"}
    requested = schedule.evaluate_tick(
        dg.build_schedule_context(instance=life.instance, repository_def=repository)
    )
    assert [each.partition_key for each in requested.run_requests or ()] == [STYLE]


IMAGES = ["jpeg_images", "curated_images", "captions", "image_dataset"]


def test_news_are_carried_through_and_training_waits_for_enough(
    life: Life, wiki_folder: Path
) -> None:
    # The style file is another one than before; nothing that is made of it has changed.
    assert life.go_on() == [{("style", STYLE)}]
    life.refresh()
    assert life.tick() == set()
    added = [add_image(wiki_folder, "purple-dragon", 30)]
    try:
        life.refresh()
        assert stages(life.go_on()) == IMAGES
        (decision,) = life.decisions()
        assert decision.startswith("1 of ")
        assert "waiting for more" in decision
        assert life.tick() == set()
        assert len(life.decisions()) == 1
        added.append(add_image(wiki_folder, "green-dragon", 220))
        life.refresh()
        *first, encoded, trained = stages(list(build_until(life, "ema_unet")))
        assert [*first, encoded, trained] == [*IMAGES, "encoded_dataset", "ema_unet"]
        assert life.decisions()[0].startswith("2 of ")
        rest = stages(life.go_on())
        assert rest[-1] == "model_report"
        assert life.tick() == set()
    finally:
        for path in added:
            path.unlink()


def build_until(life: Life, asset: str) -> Iterator[Requests]:
    while requests := life.tick():
        life.build(requests)
        yield requests
        if asset in {name for name, _ in requests}:
            return
