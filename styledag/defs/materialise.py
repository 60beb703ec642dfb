"""From a plan to a materialisation: build or find it, and report in the metadata what was done."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.storage.tags import AUTOMATION_CONDITION_TAG

from styledag.defs.history import SECONDS, partitions_of
from styledag.defs.interrupts import lasting_interrupts
from styledag.defs.logged import input_tags, logged_result, materialisation
from styledag.defs.metadata import check_result, name_tags
from styledag.defs.parts import PartsLog
from styledag.defs.placement import Placement
from styledag.defs.resources import ComputeResource, ProgressOf
from styledag.defs.settings_nodes import observe_settings
from styledag.errors import SourceError, StyledagError, may_pass
from styledag.graph.build import build_planned
from styledag.graph.catalogue import Catalogue
from styledag.graph.checks import Check, Checked
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.graph.stage import Stage
from styledag.models.compute import ComputeSettings
from styledag.store.artifact import Artifact
from styledag.store.store import Built

OnFailedCheck = Callable[[str, str], None]
OnBuilt = Callable[[Built], None]
RETRY_DELAYS_S = (60.0, 300.0)
"""Used in runs that nobody watches; the HTTP client has retried each address for itself by then."""

_COUNTED = frozenset(("encoded_dataset", "ema_unet"))
"""Stages at whose start the images that a model is trained on are counted."""


def ignore_built(_built: Built) -> None:
    """Do nothing: a run of the web UI shows everything in its log."""


def ignore_failed_check(_check: str, _why: str) -> None:
    """Do nothing: the web UI shows the checks of each asset."""


@dataclass(frozen=True)
class _Made:
    """One partition that was built or found, and what Dagster is told of it."""

    artifact: Artifact
    metadata: Mapping[str, Any]
    tags: Mapping[str, str]
    checked: Checked


@dataclass(frozen=True)
class GraphRun:
    """What assets need of the process that they run in.

    Attributes:
        catalogue: Stages, styles, models and artifacts.
        progress_of: Returns what shows the progress of a materialisation.
        on_built: Is called with each artifact as soon as it is there.
        on_failed_check: Is called with the name of each check that fails, and why it does.
        retry_delays_s: Seconds before each further try to collect from a source that is down.
        checks_first: Whether a run begins with :mod:`styledag.graph.checking.preflight`; not
            if whoever starts it has done them.
        placement: Keys of the assets.
        pages_url: Where artifacts' pages are served, for links; empty if they are not.
    """

    catalogue: Catalogue
    progress_of: ProgressOf
    on_built: OnBuilt = ignore_built
    on_failed_check: OnFailedCheck = ignore_failed_check
    retry_delays_s: Sequence[float] = RETRY_DELAYS_S
    checks_first: bool = True
    placement: Placement = field(default_factory=Placement)
    pages_url: str = ""
    _checked: set[tuple[str, str]] = field(default_factory=set)

    def materialise(
        self, context: dg.AssetExecutionContext, stage: Stage, compute: ComputeResource
    ) -> dg.MaterializeResult:
        """Return the result of materialising a stage's asset for the partitions of the run.

        Raises:
            dagster.Failure: With the sentence of the :class:`StyledagError` behind it.
        """
        from styledag.sampling.sampler import sharing_parts

        # What torch compiles in one run is there in the next.
        compiled = self.catalogue.store.files.cache / "compiled"
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compiled))
        partitions = _partitions(context)
        context.instance.add_run_tags(context.run.run_id, name_tags(partitions))
        with lasting_interrupts():
            if len(partitions) > 1:
                with sharing_parts():
                    return self._materialise_each(context, stage, compute, partitions)
            with failures():
                made = self._make(context, stage, compute, *partitions)
        results = [check_result(each, made.checked) for each in checks_of(stage)]
        for each in results:
            if not each.passed:
                self.on_failed_check(str(each.check_name), str(each.description))
        return dg.MaterializeResult(
            data_version=dg.DataVersion(made.artifact.version),
            metadata=made.metadata,
            check_results=results,
            tags=made.tags,
        )

    def _make(
        self,
        context: dg.AssetExecutionContext,
        stage: Stage,
        compute: ComputeResource,
        partition: Partition,
    ) -> "_Made":
        if AUTOMATION_CONDITION_TAG not in context.run.tags:
            self._check(partition, compute.settings)
        style = self.catalogue.style(partition.style)
        if stage.name in _COUNTED:
            from styledag.graph.checking.training_check import check_steps

            check_steps(self.catalogue, partition, compute.settings)
        plan = plan_build(self.catalogue, stage.name, partition)
        settings = observe_settings(
            context.instance,
            self.placement.settings(stage.name),
            partition.key,
            plan.declared,
        )
        parts = PartsLog(context, self.catalogue, self.placement, self.on_built, self.pages_url)
        parts.mark_earlier(plan, style)
        build = partial(
            build_planned,
            plan,
            self.catalogue.store,
            compute.resolve,
            progress=self.progress_of(context, f"{stage.name} {partition.key}"),
            on_part=parts.log_part,
        )
        delays_s = self.retry_delays_s if stage.depends_on_outside else ()
        started_at = time.monotonic()
        built = retried(build, delays_s, context.log.warning)
        took = {} if built.cached else {SECONDS: round(time.monotonic() - started_at, 3)}
        self.on_built(built)
        parts.announce(stage, partition, built.artifact)
        return _Made(
            built.artifact,
            metadata={**parts.metadata(stage, built), **took},
            tags={**settings, **name_tags([partition])},
            checked=Checked(built.artifact, style, self.catalogue.store),
        )

    def _materialise_each(
        self,
        context: dg.AssetExecutionContext,
        stage: Stage,
        compute: ComputeResource,
        partitions: Sequence[Partition],
    ) -> dg.MaterializeResult:
        """Materialise several partitions one by one, each with its own version and metadata.

        One that fails keeps no other from being made; then the run fails with all sentences.
        """
        upstream = [self.placement.asset(reads.asset) for reads in stage.reads]
        inputs = input_tags(context.instance, upstream)
        sentences = []
        for partition in partitions:
            try:
                made = self._make(context, stage, compute, partition)
            except StyledagError as exc:
                context.log.error(f"{partition.key}: {exc}")
                sentences.append(f"{partition.key}: {exc}")
                continue
            context.log_event(
                materialisation(
                    self.placement.asset(stage.name),
                    partition,
                    version=made.artifact.version,
                    code_version=stage.code_version,
                    metadata=made.metadata,
                    tags={**inputs, **made.tags},
                )
            )
        if sentences:
            raise dg.Failure(
                f"{len(sentences)} of {len(partitions)} partitions failed:\n"
                + "\n".join(sentences),
                allow_retries=False,
            )
        return logged_result()

    def _check(self, partition: Partition, compute: ComputeSettings) -> None:
        """Check a style, or one model of it, before the first of its stages in this process.

        Not in each of the runs that carry news through the graph: the run that asked the sources
        has checked the style, and a source that is down since then stops no training.
        """
        from styledag.graph.checking.preflight import require_ready

        of = partition.style, partition.recipe
        if self.checks_first and of not in self._checked:
            recipes = [partition.recipe] if partition.recipe else []
            require_ready(self.catalogue, partition.style, recipes, compute)
            self._checked.add(of)


def _partitions(context: dg.AssetExecutionContext) -> list[Partition]:
    """Return what a run is to make.

    Raises:
        dagster.Failure: If a partition went with its style, recipe or weight while the run was
            queued.
    """
    try:
        return [Partition.parse(key) for key in context.partition_keys]
    except dg.DagsterInvalidInvocationError as exc:
        raise dg.Failure(
            f"no style file declares {partitions_of(context.run)} any more", allow_retries=False
        ) from exc


def checks_of(stage: Stage) -> list[Check]:
    """Return the checks that are made with every materialisation of a stage."""
    return [each for each in stage.checks if not each.by_hand]


def retried(
    build: Callable[[], Built], delays_s: Sequence[float], warn: Callable[[str], None]
) -> Built:
    """Return what a build gives, tried again while its source is down.

    A retry policy of Dagster's would also re-run a step that was cancelled (its issue 15026), and
    would not hear of a cancellation before its delay is over.

    Args:
        build: The build, which does no work twice.
        delays_s: Seconds to wait before each further try.
        warn: Is called with a sentence before each wait.

    Raises:
        StyledagError: That of the last try, or one that another try would not mend.
    """
    for delay_s in delays_s:
        try:
            return build()
        except SourceError as exc:
            if not may_pass(exc):
                raise
            warn(f"tried again in {delay_s:g} s: {exc}")
        time.sleep(delay_s)
    return build()


@contextmanager
def failures() -> Iterator[None]:
    """Turn styledag's errors into failures whose description is the error's own sentence.

    Raises:
        dagster.Failure: In place of any :class:`StyledagError`; never retried by Dagster, as the
            same inputs would end the same way.
    """
    try:
        yield
    except StyledagError as exc:
        raise dg.Failure(
            description=str(exc), metadata={"kind": type(exc).__name__}, allow_retries=False
        ) from exc
