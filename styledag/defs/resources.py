"""What assets are given: the device, and where progress is shown."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any, get_type_hints

import dagster as dg
from pydantic import Field, create_model

from styledag.models.compute import Compute, ComputeSettings, resolve_compute
from styledag.progress import Advance, Progress

COMPUTE = "compute"
"""Name of the resource with the device."""


class ComputeResource(dg.ConfigurableResource):
    """The device that a run computes with; asking for one that isn't there is an error."""

    @property
    def settings(self) -> ComputeSettings:
        """What the run was configured with."""
        return ComputeSettings(
            **{each.name: getattr(self, each.name) for each in fields(ComputeSettings)}
        )

    def resolve(self) -> Compute:
        """Return the device that is really there; imports torch.

        Raises:
            DeviceError: If it isn't.
        """
        return resolve_compute(self.settings)


def compute_resource(settings: ComputeSettings) -> ComputeResource:
    """Return the resource whose configuration has the fields of :class:`ComputeSettings`."""
    hints = get_type_hints(ComputeSettings)
    configuration: dict[str, Any] = {
        each.name: (hints[each.name], Field(each.default, description=each.metadata["description"]))
        for each in fields(ComputeSettings)
    }
    base = ComputeResource
    resource = create_model(base.__name__, __base__=base, __doc__=base.__doc__, **configuration)
    return resource(**asdict(settings))


ProgressOf = Callable[[dg.AssetExecutionContext], Progress]
"""Returns what shows the progress of a materialisation."""


class LogProgress:
    """Writes into a run's log how far a stage is, at most every few seconds."""

    def __init__(self, log: logging.Logger, *, every_s: float = 10.0) -> None:
        self._log = log
        self._every_s = every_s

    @contextmanager
    def task(self, description: str, total: int | None, *, done: int = 0) -> Iterator[Advance]:
        """Log now and then the state of one task with the time left, and its end."""
        finished = 0
        before = done
        said_at = started_at = time.monotonic()

        def advance(done: int = 1, /, **figures: float) -> None:
            nonlocal finished, said_at
            finished += done
            now = time.monotonic()
            if now - said_at >= self._every_s:
                said_at = now
                shown = "".join(f", {name} {value:.4g}" for name, value in figures.items())
                state = f"{before + finished} of {total or '?'}"
                if total and finished:
                    left_s = (total - before - finished) * (now - started_at) / finished
                    state += f", {timedelta(seconds=round(left_s))} left"
                self._log.info(f"{description}: {state}{shown}")

        yield advance
        if finished:
            self._log.info(f"{description}: {finished} in {time.monotonic() - started_at:.1f} s")


def log_progress(context: dg.AssetExecutionContext) -> Progress:
    """Return progress that goes to the run's log, as the web UI shows it."""
    return LogProgress(context.log)
