"""What assets are given: the device, and where progress is shown."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any, get_type_hints

import dagster as dg
from pydantic import Field, create_model

from styledag.models.compute import Compute, ComputeSettings, resolve_compute
from styledag.progress import LineProgress, Progress

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


ProgressOf = Callable[[dg.AssetExecutionContext, str], Progress]
"""Returns what shows the progress of a materialisation, which the text names."""


def log_progress(context: dg.AssetExecutionContext, subject: str) -> Progress:
    """Return progress that goes to the run's log, as the web UI shows it."""
    return LineProgress(context.log.info, subject)
