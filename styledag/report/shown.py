"""What of a report is shown, and which images that takes, the most important first."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from styledag.report.images import Source, Wanted
from styledag.report.model import BlendSection, ModelReport, Samples
from styledag.report.score_chart import row_key
from styledag.report.wording import number, percent, plain
from styledag.scoring.records import ScoreRow, shown_row
from styledag.training.recipe import Recipe

MAX_NEAREST = 24
MAX_FAMILIES = 24
MAX_DRAWN = 6
MAX_CAPTIONS = 24


@dataclass(frozen=True, kw_only=True)
class Stop:
    """One position of a slider.

    Attributes:
        key: Ties it to its point in the chart of scores.
        tick: Label below the slider.
        label: What is shown there, for a person.
        scores: What the base's loss says of it; empty where it has no scores.
        samples: Its images.
        recommended: Whether it is the recommended one.
    """

    key: str
    tick: str
    label: str
    scores: str
    samples: Samples
    recommended: bool


@dataclass(frozen=True, kw_only=True)
class RecipeRow:
    """One line of the recipe: the key in the style file, its value and what it means."""

    key: str
    value: Any
    help: str


@dataclass(frozen=True, kw_only=True)
class ComparedVersion:
    """One of the two versions of a model that are compared.

    Attributes:
        version: Which of them, for a person.
        recommended: Name of the checkpoint or blend that is recommended of it; empty for none.
        score: The scores of that, or of the last that was trained; ``None`` without scores.
        training_images: How many images it was trained on; ``None`` if that is not known.
    """

    version: str
    recommended: str
    score: ScoreRow | None
    training_images: int | None


def compared_versions(report: ModelReport) -> tuple[ComparedVersion, ...]:
    """Return the model before this one, and this one; nothing for a first one."""
    former = report.former
    if former is None:
        return ()
    row = next((row for row in report.scores if report.is_recommended(row.name)), None)
    return (
        ComparedVersion(
            version="The last",
            recommended=former.shown.name if former.shown.recommended else "",
            score=former.shown,
            training_images=former.training_images,
        ),
        ComparedVersion(
            version="This one",
            recommended="" if row is None else row.name,
            score=row or (shown_row(report.scores) if report.scores else None),
            training_images=report.data.training_images,
        ),
    )


def weight_stops(report: ModelReport) -> tuple[Stop, ...]:
    """Return the positions of the slider over blends: weights, then lengths of the average."""
    return tuple(
        Stop(
            key=blend.name,
            tick=_blend_tick(blend),
            label=_blend_label(blend),
            scores=_scores(report, blend.name),
            samples=blend.samples,
            recommended=report.is_recommended(blend.name),
        )
        for blend in report.blends
        if blend.samples
    )


def snapshot_stops(report: ModelReport) -> tuple[Stop, ...]:
    """Return the positions of the slider over snapshots."""
    return tuple(
        Stop(
            key=snapshot.name,
            tick=str(snapshot.epoch),
            label=_snapshot_label(snapshot.epoch, snapshot.base_share),
            scores=_scores(report, snapshot.name),
            samples=snapshot.samples,
            recommended=report.is_recommended(snapshot.name),
        )
        for snapshot in report.snapshots
        if snapshot.samples
    )


def first_shown(stops: tuple[Stop, ...]) -> int:
    """Return the position a slider starts at: the recommended one, else the last."""
    picked = [index for index, stop in enumerate(stops) if stop.recommended]
    return picked[0] if picked else len(stops) - 1


def wanted_stills(report: ModelReport) -> list[Wanted]:
    """Return the still images that the page shows."""
    return _counted(_stills(report))


def wanted_animations(report: ModelReport) -> list[Wanted]:
    """Return the animations that the page shows."""
    paths = [
        gifs[prompt]
        for gifs in (report.evolution, report.denoising)
        for prompt in report.prompts
        if prompt in gifs
    ]
    return _counted(paths, moving=True)


def recipe_rows(recipe: Mapping[str, Any]) -> tuple[RecipeRow, ...]:
    """Return a recipe line by line, nested keys joined by dots, with the style file's help."""
    return tuple(_recipe_rows(recipe, "", Recipe))


def _scores(report: ModelReport, key: str) -> str:
    for row in report.scores:
        learned, remembered = row.style_learned.value, row.base_remembered.value
        if row_key(row) == key and learned is not None and remembered is not None:
            return f"style learned {number(learned, 2)}, base remembered {number(remembered, 2)}"
    return ""


def _blend_tick(blend: BlendSection) -> str:
    if blend.length is not None:
        return f"ema {blend.length:.3f}"
    return plain(_mixed_name(blend), 12) if blend.weight is None else number(blend.weight, 2)


def _blend_label(blend: BlendSection) -> str:
    amount = f"{percent(blend.amount)} fine-tune"
    if blend.length is not None:
        return f"Average of length {number(blend.length)}, {amount}"
    if blend.weight is None:
        return f"Blend {plain(_mixed_name(blend))} of several models, {amount}"
    return f"Weight {number(blend.weight, 2)}, {amount}"


def _mixed_name(blend: BlendSection) -> str:
    return blend.name.removeprefix("blend ")


def _snapshot_label(epoch: int, base_share: float | None) -> str:
    if epoch == 0:
        return "Epoch 0, the base"
    share = "" if base_share is None else f", average holds {percent(base_share)} base"
    return f"Epoch {epoch}{share}"


def _stills(report: ModelReport) -> Iterator[Source]:
    yield from _sampled(report, [report.best_samples])
    for pair in report.nearest[:MAX_NEAREST]:
        yield pair.sample
        yield pair.training_jpeg
    for drawn in report.families_drawn[:MAX_DRAWN]:
        yield drawn.medoid_jpeg
        yield from (path for _, path in drawn.samples)
    if report.untrained:
        base = (stop.samples for stop in snapshot_stops(report)[:1])
        yield from _sampled(report, [*(each.samples for each in report.untrained), *base])
    yield from (family.medoid_jpeg for family in report.data.families[:MAX_FAMILIES])
    yield from (sample.jpeg for sample in report.data.captions[:MAX_CAPTIONS])
    yield from _sampled(report, [stop.samples for stop in weight_stops(report)])
    yield from _sampled(report, [stop.samples for stop in snapshot_stops(report)])


def _sampled(report: ModelReport, columns: Iterable[Samples]) -> Iterator[Source]:
    """Yield images seed by seed, so that what finds no room are the last seeds."""
    columns = tuple(columns)
    for seed in report.seeds:
        for prompt in report.prompts:
            for samples in columns:
                if (prompt, seed) in samples:
                    yield samples[prompt, seed]


def _counted(sources: Iterable[Source], *, moving: bool = False) -> list[Wanted]:
    uses: dict[Source, int] = {}
    for source in sources:
        uses[source] = uses.get(source, 0) + 1
    return [Wanted(source=source, uses=count, moving=moving) for source, count in uses.items()]


def _recipe_rows(values: Mapping[str, Any], prefix: str, settings: Any) -> Iterator[RecipeRow]:
    known = getattr(settings, "__dataclass_fields__", {})
    for key, value in values.items():
        field = known.get(key)
        if isinstance(value, Mapping):
            yield from _recipe_rows(value, f"{prefix}{key}.", getattr(field, "type", None))
            continue
        told = field.metadata.get("description", "") if field is not None else ""
        yield RecipeRow(key=f"{prefix}{key}", value=value, help=told)
