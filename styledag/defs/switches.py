"""Schedules and the sensor of one project, switched on and off without the web UI."""

import warnings
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.remote_representation.handle import RepositoryHandle
from dagster._core.scheduler.instigation import InstigatorState
from dagster._core.workspace.load_target import WorkspaceFileTarget

from styledag.defs.automation import SENSOR, refreshed_styles, schedule_name
from styledag.defs.code_location import build_definitions
from styledag.errors import StyledagError, StyleFileError
from styledag.graph.catalogue import Catalogue


@dataclass(frozen=True)
class RefreshState:
    """Whether a style is refreshed by itself.

    Attributes:
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
        self.instance.start_schedule(self.repository.get_schedule(schedule_name(style)))
        self.instance.start_sensor(self.repository.get_sensor(SENSOR))

    def switch_off(self, style: str) -> None:
        """Stop a style's schedule, and the sensor with the last of them.

        Raises:
            StyleFileError: If the style is not switched on, and is missing or broken or has no
                ``refresh:``.
        """
        left = self._left_on(style)
        if left is None:
            self._check(style)
            schedule = self.repository.get_schedule(schedule_name(style))
            self.instance.stop_schedule(
                schedule.get_remote_origin_id(), schedule.selector_id, schedule
            )
        else:
            self.instance.stop_schedule(left.instigator_origin_id, left.selector_id, None)
        if not any(each.is_on for each in self.states()):
            sensor = self.repository.get_sensor(SENSOR)
            self.instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)

    def _is_on(self, style: str) -> bool:
        schedule = self.repository.get_schedule(schedule_name(style))
        state = self.instance.get_instigator_state(
            schedule.get_remote_origin_id(), schedule.selector_id
        )
        return bool(schedule.get_current_instigator_state(state).is_running)

    def _left_on(self, style: str) -> InstigatorState | None:
        """Return the state of a schedule that is on and that no style file asks for any more."""
        if style in refreshed_styles(self.catalogue):
            return None
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        name = schedule_name(style)
        return next((each for each in states if each.is_running and each.name == name), None)

    def _check(self, style: str) -> None:
        if self.catalogue.style(style).refresh is None:
            raise StyleFileError(
                f"style {style!r} has no refresh: write one into its file, such as "
                "refresh: 0 3 * * *"
            )


def project_switches(catalogue: Catalogue, instance: dg.DagsterInstance) -> Switches:
    """Return the switches of a project, under the names by which the daemon finds them.

    No code server is started: the definitions are made here, and named as the workspace file has
    them.

    Raises:
        StyledagError: If the workspace file does not name one code location.
    """
    workspace = catalogue.project.workspace
    origins = WorkspaceFileTarget([str(workspace)]).create_origins()
    if len(origins) != 1:
        raise StyledagError(f"{workspace} names {len(origins)} code locations: expected one")
    repository = build_definitions(catalogue.project).get_repository_def()
    handle = RepositoryHandle(
        repository_name=repository.name,
        code_location_origin=origins[0],
        repository_python_origin=None,
        display_metadata={},
    )
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        # Dagster reads deprecated attributes of its own schedules.
        snapshot = RepositorySnap.from_def(repository)
    remote = RemoteRepository(snapshot, handle, auto_materialize_use_sensors=True)
    return Switches(catalogue, instance, remote)
