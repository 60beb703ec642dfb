"""Keeping styles fresh: schedules that ask the sources, and what follows from their news.

Only styles whose file has ``refresh:`` are touched, and only while somebody has switched them on.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import dagster as dg
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._utils.schedules import schedule_execution_time_iterator

from styledag.defs.history import newest_observation
from styledag.defs.jobs import REFRESH
from styledag.errors import StyledagError, StyleFileError
from styledag.graph.catalogue import Catalogue
from styledag.graph.freshness.due import due_builds, stopped_builds
from styledag.graph.freshness.retraining import IMAGES, MODEL, TRAINING, Decision, decide_retraining
from styledag.graph.names import Partition
from styledag.graph.stage import Stage
from styledag.style.load import stated_refresh

SENSOR = "keep_fresh"
_TICKS = 64


def schedule_name(style: str) -> str:
    """Return the name of a style's schedule; Dagster's names have no hyphens."""
    return f"{REFRESH}_{style.replace('-', '_HYPHEN_')}"


def refreshed_styles(catalogue: Catalogue) -> Mapping[str, str]:
    """Return the cron string of each style that has one, whatever else in its file is wrong.

    Of a schedule that is gone for 12 hours, Dagster forgets that it was switched on.
    """
    found: dict[str, str] = {}
    for name, path in catalogue.project.style_paths.items():
        try:
            refresh = catalogue.style(name).refresh
        except StyleFileError:
            refresh = stated_refresh(path)
        if refresh is not None:
            found[name] = refresh
    return found


def refresh_schedules(catalogue: Catalogue) -> list[dg.ScheduleDefinition]:
    """Return a schedule, stopped until it is switched on, for each style that has ``refresh:``."""
    return [_schedule(style, cron) for style, cron in refreshed_styles(catalogue).items()]


def refresh_deadline(catalogue: Catalogue) -> dg.FreshnessPolicy | None:
    """Return when the images count as stale: after two refreshes that did not take place.

    Dagster looks at the newest materialisation of any style, so the style that is refreshed most
    often decides; ``None`` if no style has ``refresh:``.
    """
    waits = [_longest_wait(cron) for cron in refreshed_styles(catalogue).values()]
    return dg.FreshnessPolicy.time_window(fail_window=2 * min(waits)) if waits else None


def _longest_wait(cron: str) -> timedelta:
    """Return the longest time between two refreshes, as over a weekend."""
    start = datetime.now(UTC).timestamp()
    ticks = islice(schedule_execution_time_iterator(start, cron, "UTC"), _TICKS)
    return max(after - before for before, after in pairwise(ticks))


def _schedule(style: str, cron: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=schedule_name(style),
        cron_schedule=cron,
        job_name=REFRESH,
        description=f"Asks the sources of {style} for news. The sensor {SENSOR} builds what "
        "follows from them.",
    )
    def refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        asking = dg.RunsFilter(
            job_name=REFRESH,
            statuses=[*IN_PROGRESS_RUN_STATUSES, dg.DagsterRunStatus.QUEUED],
            tags={PARTITION_NAME_TAG: style},
        )
        if context.instance.get_runs(asking, limit=1):
            return dg.SkipReason(f"the sources of {style} are still being asked")
        return dg.RunRequest(partition_key=style)

    return refresh


def keep_fresh_sensor() -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that builds what is due; stopped until a style is switched on."""
    with warnings.catch_warnings(action="ignore", category=dg.BetaWarning):
        # Own conditions are evaluated in the code server only, which is a beta of Dagster's.
        return dg.AutomationConditionSensorDefinition(
            SENSOR,
            target=dg.AssetSelection.all(),
            use_user_code_server=True,
            # The blends of a model in one run, which loads the base once.
            emit_backfills=True,
            description="Builds what is out of date of the styles that are refreshed, in order.",
        )


class DueNow:
    """What is due of the styles that are switched on, found once for all assets of a tick."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._found_at: datetime | None = None
        self._found: dict[tuple[str, str], str] = {}

    def find(self, context: dg.AutomationContext) -> Mapping[tuple[str, str], str]:
        """Return a digest of what decides each build that is due, by asset and partition key."""
        if self._found_at != context.evaluation_time:
            self._found = dict(self._find(context.asset_graph_view.instance, context.log.warning))
            self._found_at = context.evaluation_time
        return self._found

    def _find(
        self, instance: dg.DagsterInstance, warn: Callable[[str], None]
    ) -> Iterator[tuple[tuple[str, str], str]]:
        now = self._catalogue.at_once()
        for style in self._switched_on(instance):
            try:
                due = due_builds(now, style)
                waiting = self._waiting(instance, due) | self._stopped(now, due, warn)
            except StyledagError as exc:
                warn(f"style {style} is left alone: {exc}")
                continue
            yield from ((build, digest) for build, digest in due.items() if build not in waiting)

    def _switched_on(self, instance: dg.DagsterInstance) -> list[str]:
        schedules = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        running = {each.instigator_name for each in schedules if each.is_running}
        # A style whose file lost its `refresh:` has no schedule that could be switched off.
        styles = refreshed_styles(self._catalogue)
        return [style for style in styles if schedule_name(style) in running]

    def _stopped(
        self, now: Catalogue, due: Mapping[tuple[str, str], str], warn: Callable[[str], None]
    ) -> set[tuple[str, str]]:
        """Return the builds of models, and publishings, that a failed check stops.

        The images' own stages go on, so that the decision about training names the check.
        """
        builds = [each for each in due if now.stages[each[0]].group not in (IMAGES, TRAINING)]
        stopped = set()
        for (asset, key), sentence in stopped_builds(now, builds):
            warn(f"{asset} of {key} is stopped by {sentence}")
            stopped.add((asset, key))
        return stopped

    def _waiting(
        self, instance: dg.DagsterInstance, due: Mapping[tuple[str, str], str]
    ) -> set[tuple[str, str]]:
        """Return the builds of models whose training is not worth it now, and record why."""
        stages = self._catalogue.stages
        training = [build for build in due if stages[build[0]].group == TRAINING]
        worth: dict[str, bool] = {}
        for key in {key for _, key in training}:
            model = Partition.parse(key)
            age_days = _age_days(self._catalogue, model)
            decision = decide_retraining(self._catalogue, model, age_days=age_days)
            _observe(instance, model, decision)
            worth[key] = decision.is_worth
        return {(asset, key) for asset, key in training if not worth[key]}


def keep_fresh(due_now: DueNow, stage: Stage) -> dg.AutomationCondition:
    """Return the condition by which a stage is built by itself."""
    return ~dg.AutomationCondition.in_progress() & Due(due_now, stage.name)


class Due(dg.AutomationCondition):
    """Whether the next run of a stage would build something else than what is there.

    It asks what ``styledag status`` asks, so both name the same builds. A build is requested once
    for each state of what decides it; a run that lost its process is retried by Dagster.
    """

    def __init__(self, due_now: DueNow, asset: str) -> None:
        self._due_now = due_now
        self._asset = asset

    @property
    def description(self) -> str:
        """What the web UI shows."""
        return "out of date while all that it reads is current, and worth it"

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        """Return the partitions that are due and were not asked for in this state."""
        candidates = context.candidate_subset.expensively_compute_partition_keys()
        # What is being built is no candidate; its state is remembered for when it has failed.
        asked: dict[str, str] = json.loads(context.cursor or "{}")
        remembered = {key: digest for key, digest in asked.items() if key not in candidates}
        requested = set()
        for (asset, key), digest in self._due_now.find(context).items():
            if asset != self._asset or key not in candidates:
                continue
            if asked.get(key) != digest:
                requested.add(key)
            remembered[key] = digest
        subset = context.asset_graph_view.get_asset_subset_from_asset_partitions(
            context.key, {AssetKeyPartitionKey(context.key, key) for key in requested}
        )
        return dg.AutomationResult(context, subset, cursor=json.dumps(remembered))


def _age_days(catalogue: Catalogue, model: Partition) -> float:
    """Return how long ago a model was trained, in days; 0 if it never was.

    The store tells: Dagster's records may be removed, or be of runs that found the model there.
    """
    trained = catalogue.store.current(MODEL, model.stored_as)
    if trained is None:
        return 0.0
    return (datetime.now(UTC) - catalogue.store.published_at(trained)) / timedelta(days=1)


def _observe(instance: dg.DagsterInstance, model: Partition, decision: Decision) -> None:
    """Record a decision as an observation of the model, unless the newest one is the same."""
    key = dg.AssetKey(MODEL)
    record = newest_observation(instance, key, model.key)
    newest = None if record is None else record.asset_observation
    figures = {
        "decision": decision.kind,
        "changed_images": decision.changed,
        "images": decision.images,
        "dataset": decision.dataset,
    }
    if newest is not None and figures == {name: newest.metadata[name].value for name in figures}:
        return
    instance.report_runless_asset_event(
        dg.AssetObservation(
            key,
            partition=model.key,
            description=decision.why,
            metadata={"why": decision.why, **figures},
        )
    )
