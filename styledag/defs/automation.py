"""Keeping styles fresh: schedules that ask the sources, and what follows from their news.

Only styles whose file has ``refresh:`` are touched, and only after somebody has switched it on.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.events import AssetKeyPartitionKey

from styledag.defs.jobs import REFRESH
from styledag.errors import StyledagError, StyleFileError
from styledag.graph.catalogue import Catalogue
from styledag.graph.due import due_builds
from styledag.graph.names import Partition
from styledag.graph.retraining import MODEL, TRAINING, Decision, decide_retraining
from styledag.graph.stage import Stage
from styledag.style.load import style_paths

SENSOR = "keep_fresh"
_NEWEST = 20
"""Materialisations of a model that are looked at for the last that really trained it."""
_S_PER_DAY = 86_400


def schedule_name(style: str) -> str:
    """Return the name of a style's schedule; Dagster's names have no hyphens."""
    return f"{REFRESH}_{style.replace('-', '_HYPHEN_')}"


def refreshed_styles(catalogue: Catalogue) -> Mapping[str, str]:
    """Return the cron string of each style that has one; a broken style file has none."""
    found: dict[str, str] = {}
    for name in style_paths(catalogue.project.styles_folder):
        try:
            refresh = catalogue.style(name).refresh
        except StyleFileError:
            continue
        if refresh is not None:
            found[name] = refresh
    return found


def refresh_schedules(catalogue: Catalogue) -> list[dg.ScheduleDefinition]:
    """Return a schedule, stopped until it is switched on, for each style that has ``refresh:``."""
    return [_schedule(style, cron) for style, cron in refreshed_styles(catalogue).items()]


def _schedule(style: str, cron: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=schedule_name(style),
        cron_schedule=cron,
        job_name=REFRESH,
        description=f"Asks the sources of {style} for news. The sensor {SENSOR} builds what "
        "follows from them.",
    )
    def refresh() -> dg.RunRequest:
        return dg.RunRequest(partition_key=style)

    return refresh


def keep_fresh_sensor() -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that builds what is due; stopped until it is switched on."""
    with warnings.catch_warnings():
        # Own conditions are evaluated in the code server only, which is a beta of Dagster's.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.AutomationConditionSensorDefinition(
            SENSOR,
            target=dg.AssetSelection.all(),
            use_user_code_server=True,
            emit_backfills=False,
            description="Builds what is out of date of the styles with `refresh:`, in order.",
        )


def keep_fresh(catalogue: Catalogue, stage: Stage) -> dg.AutomationCondition:
    """Return the condition by which a stage of a style with ``refresh:`` is built by itself."""
    return ~dg.AutomationCondition.in_progress() & Due(catalogue, stage)


class Due(dg.AutomationCondition):
    """Whether the next run of a stage would build something else than what is there.

    It asks what ``styledag status`` asks, so both name the same builds. A build is requested once
    for each state of what decides it.

    Args:
        catalogue: Stages, styles, models and artifacts.
        stage: The stage.
    """

    def __init__(self, catalogue: Catalogue, stage: Stage) -> None:
        self._catalogue = catalogue
        self._stage = stage

    @property
    def description(self) -> str:
        """What the web UI shows."""
        return "out of date while all that it reads is current, and worth it"

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        """Return the partitions that are due and were not asked for in this state."""
        candidates = context.candidate_subset.expensively_compute_partition_keys()
        asked: dict[str, str] = json.loads(context.cursor or "{}")
        due = dict(self._due(context, candidates))
        requested = {key for key, digest in due.items() if asked.get(key) != digest}
        subset = context.asset_graph_view.get_asset_subset_from_asset_partitions(
            context.key, {AssetKeyPartitionKey(context.key, key) for key in requested}
        )
        # What is being built is no candidate; its state is remembered for when it has failed.
        building = {key: digest for key, digest in asked.items() if key not in candidates}
        return dg.AutomationResult(context, subset, cursor=json.dumps({**building, **due}))

    def _due(
        self, context: dg.AutomationContext, candidates: AbstractSet[str]
    ) -> Iterator[tuple[str, str]]:
        of_style: dict[str, set[str]] = {}
        for key in sorted(candidates):
            of_style.setdefault(Partition.parse(key).style, set()).add(key)
        instance = context.asset_graph_view.instance
        for style in refreshed_styles(self._catalogue).keys() & of_style.keys():
            try:
                for (asset, key), digest in due_builds(self._catalogue, style).items():
                    if asset != self._stage.name or key not in of_style[style]:
                        continue
                    if self._is_worth(instance, Partition.parse(key), context.log.info):
                        yield key, digest
            except StyledagError as exc:
                context.log.warning(f"style {style} is left alone: {exc}")

    def _is_worth(
        self, instance: dg.DagsterInstance, partition: Partition, log: Callable[[str], None]
    ) -> bool:
        if self._stage.group != TRAINING:
            return True
        age_days = _age_days(instance, partition)
        decision = decide_retraining(self._catalogue, partition, age_days=age_days)
        log(f"{self._stage.name} of {partition.key}: {decision.why}")
        _observe(instance, partition, decision)
        return decision.is_worth


def _age_days(instance: dg.DagsterInstance, model: Partition) -> float:
    """Return how long ago a model was trained, in days; 0 if that is in no record."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(MODEL), asset_partitions=[model.key]),
        limit=_NEWEST,
    ).records
    for record in records:
        made = record.asset_materialization
        if made is not None and not made.metadata["cached"].value:
            return (datetime.now(UTC).timestamp() - record.timestamp) / _S_PER_DAY
    return 0.0


def _observe(instance: dg.DagsterInstance, model: Partition, decision: Decision) -> None:
    """Record a decision as an observation of the model, unless the newest one is the same."""
    key = dg.AssetKey(MODEL)
    records = instance.fetch_observations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[model.key]), limit=1
    ).records
    newest = records[0].asset_observation if records else None
    figures = {
        "retrains": decision.is_worth,
        "changed_images": decision.changed,
        "images": decision.images,
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
