"""Schedules and the sensor of one project, switched on and off without the web UI."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

from styledag.defs.automation import SENSOR, refreshed_styles, schedule_name
from styledag.errors import StyledagError, StyleFileError
from styledag.graph.catalogue import Catalogue

WORKSPACE = "workspace.yaml"


@dataclass(frozen=True)
class RefreshState:
    """Whether a style is refreshed by itself.

    Attributes:
        style: The style.
        cron: When, in UTC.
        is_on: Whether its schedule is switched on.
    """

    style: str
    cron: str
    is_on: bool


@dataclass(frozen=True)
class Switches:
    """The schedules of a project and the sensor that builds what follows."""

    catalogue: Catalogue
    instance: dg.DagsterInstance
    repository: RemoteRepository

    def states(self) -> list[RefreshState]:
        """Return the state of each style whose file has ``refresh:``."""
        return [
            RefreshState(style, cron, self._is_on(style))
            for style, cron in refreshed_styles(self.catalogue).items()
        ]

    def switch_on(self, style: str) -> None:
        """Start a style's schedule, and the sensor.

        Raises:
            StyleFileError: If the style is missing or broken, or has no ``refresh:``.
        """
        self._check(style)
        if not self._is_on(style):
            self.instance.start_schedule(self.repository.get_schedule(schedule_name(style)))
        sensor = self.repository.get_sensor(SENSOR)
        state = self.instance.get_instigator_state(
            sensor.get_remote_origin_id(), sensor.selector_id
        )
        if not sensor.get_current_instigator_state(state).is_running:
            self.instance.start_sensor(sensor)

    def switch_off(self, style: str) -> None:
        """Stop a style's schedule, and the sensor with the last of them.

        Raises:
            StyleFileError: If the style is missing or broken, or has no ``refresh:``.
        """
        self._check(style)
        schedule = self.repository.get_schedule(schedule_name(style))
        self.instance.stop_schedule(schedule.get_remote_origin_id(), schedule.selector_id, schedule)
        if not any(each.is_on for each in self.states()):
            sensor = self.repository.get_sensor(SENSOR)
            self.instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)

    def _is_on(self, style: str) -> bool:
        schedule = self.repository.get_schedule(schedule_name(style))
        state = self.instance.get_instigator_state(
            schedule.get_remote_origin_id(), schedule.selector_id
        )
        return bool(schedule.get_current_instigator_state(state).is_running)

    def _check(self, style: str) -> None:
        if self.catalogue.style(style).refresh is None:
            raise StyleFileError(
                f"style {style!r} has no refresh: write one into its file, such as "
                "refresh: 0 3 * * *"
            )


@contextmanager
def open_switches(catalogue: Catalogue, instance: dg.DagsterInstance) -> Iterator[Switches]:
    """Load the code location as the daemon does, so that both name the same schedules.

    Raises:
        StyledagError: If the code location cannot be loaded.
    """
    workspace = catalogue.project.root / WORKSPACE
    target = WorkspaceFileTarget([str(workspace)])
    with WorkspaceProcessContext(instance, target) as process:
        context = process.create_request_context()
        for error in context.get_code_location_entries().values():
            if error.load_error is not None:
                raise StyledagError(f"{workspace} cannot be loaded: {error.load_error.message}")
        (location,) = context.code_locations
        (repository,) = location.get_repositories().values()
        yield Switches(catalogue, instance, repository)
