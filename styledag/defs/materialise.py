"""From a plan to a materialisation: build or find it, and report in the metadata what was done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from styledag.defs.metadata import built_metadata, check_results
from styledag.defs.parts import PartsLog
from styledag.defs.resources import ProgressOf
from styledag.defs.settings_nodes import observe_settings
from styledag.errors import StyledagError
from styledag.graph.build import build_planned
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.graph.stage import GetCompute, Stage
from styledag.store.store import Built

OnBuilt = Callable[[Built], None]


def ignore_built(_built: Built) -> None:
    """Do nothing: a run of the web UI shows everything in its log."""


@dataclass(frozen=True)
class GraphRun:
    """What assets need of the process that they run in.

    Attributes:
        catalogue: Stages, styles, models and artifacts.
        progress_of: Returns what shows the progress of a materialisation.
        on_built: Is called with each artifact as soon as it is there.
    """

    catalogue: Catalogue
    progress_of: ProgressOf
    on_built: OnBuilt = ignore_built

    def materialise(
        self, context: dg.AssetExecutionContext, stage: Stage, compute: GetCompute
    ) -> dg.MaterializeResult:
        """Return the result of materialising one partition of a stage's asset.

        Raises:
            dagster.Failure: With the sentence of the :class:`StyledagError` behind it.
        """
        partition = Partition.parse(context.partition_key)
        with failures():
            plan = plan_build(self.catalogue, stage.name, partition)
            tags = observe_settings(context.instance, stage.name, partition, plan.declared)
            parts = PartsLog(context, self.catalogue, self.on_built)
            built = build_planned(
                plan,
                self.catalogue.store,
                compute,
                progress=self.progress_of(context),
                on_part=parts.log_part,
            )
            self.on_built(built)
            parts.announce(stage, built.artifact)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(built.artifact.version),
                metadata=built_metadata(stage, built),
                check_results=check_results(stage, built.artifact),
                tags=tags,
            )


@contextmanager
def failures() -> Iterator[None]:
    """Turn styledag's errors into failures whose description is the error's own sentence.

    Raises:
        dagster.Failure: In place of any :class:`StyledagError`; never retried, as a retry of the
            same inputs would end the same way.
    """
    try:
        yield
    except StyledagError as exc:
        raise dg.Failure(
            description=str(exc), metadata={"kind": type(exc).__name__}, allow_retries=False
        ) from exc
