"""A project whose automation is looked at tick by tick, with stand-ins for its stages' work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.defs.runs import Step, run_step
from styledag.defs.switches import project_switches
from styledag.graph import catalogue as catalogues
from styledag.graph.build import build_planned
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.models.compute import Compute, ComputeSettings
from styledag.progress import SilentProgress
from styledag.project import Project
from styledag_tests.defs.stand_ins import stand_in_stages
from styledag_tests.whole.small_project import STYLE

Requests = set[tuple[str, str]]


@dataclass
class Life:
    """A project whose automation is looked at tick by tick."""

    project: Project
    instance: dg.DagsterInstance
    cursor: Any = None
    definitions: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.reload()

    def reload(self) -> None:
        """Load the code location anew, as after a style file was added."""
        self.definitions = build_definitions(
            self.project,
            progress_of=lambda _, __: SilentProgress(),
            compute=ComputeSettings(device="cpu"),
            retry_delays_s=(),
            checks_first=False,
        )

    @property
    def root(self) -> Path:
        return self.project.root

    def switch_on(self, style: str = STYLE) -> None:
        project_switches(Catalogue(self.project), self.instance).switch_on(style)

    def tick(self) -> Requests:
        """Return what the automation asks for now."""
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, dg.AssetSelection.all(), cursor=self.cursor
        )
        self.cursor = result.cursor
        return {
            (key.to_user_string(), str(partition))
            for key in self.definitions.resolve_asset_graph().materializable_asset_keys
            for partition in result.get_requested_partitions(key)
        }

    def build(self, asset: str, partition: str) -> None:
        """Build as a run does, without the run."""
        catalogue = Catalogue(self.project)
        build_planned(
            plan_build(catalogue, asset, Partition.parse(partition)),
            catalogue.store,
            no_device,
            progress=SilentProgress(),
            on_part=lambda _plan, _built: None,
        )

    def run(self, asset: str, partition: str) -> None:
        """Build in a run, which Dagster's records contain."""
        run_step(self.definitions, self.instance, Step((asset,), partition))

    def go_on(self) -> list[str]:
        """Build what is due until nothing is, and return the assets that each tick asked for."""
        ticks = []
        while requests := self.tick():
            for asset, partition in sorted(requests):
                self.build(asset, partition)
            ticks.append(", ".join(sorted({asset for asset, _ in requests})))
        return ticks

    def refresh(self) -> list[str]:
        """Ask the sources, as the schedule does, and return what follows."""
        self.build("raw_images", STYLE)
        return self.go_on()

    def edit(self, find: str, replace: str, style: str = STYLE) -> None:
        path = self.project.styles_folder / f"{style}.yaml"
        text = path.read_text("utf-8")
        assert find in text
        path.write_text(text.replace(find, replace), "utf-8")

    def decision(self) -> str:
        """Return the newest decision about the model."""
        (record,) = self.instance.fetch_observations(dg.AssetKey("ema_unet"), limit=1).records
        assert record.asset_observation is not None
        return str(record.asset_observation.metadata["why"].value)

    def decisions(self) -> int:
        return len(self.instance.fetch_observations(dg.AssetKey("ema_unet"), limit=100).records)


def no_device() -> Compute:
    raise AssertionError("a stand-in computes nothing")


@contextmanager
def living(root: Path) -> Iterator[Life]:
    """Open a project whose stages do a stand-in of their work."""
    before = Path.cwd()
    os.chdir(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogues, "read_stages", stand_in_stages)
        patch.delenv("DAGSTER_HOME", raising=False)
        with open_history(root) as instance:
            yield Life(Project.at(root), instance)
    os.chdir(before)
