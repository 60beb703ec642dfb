"""Fills the pages about recipes and styles side by side from what the store has of each."""

from typing import TYPE_CHECKING

from styledag.errors import ArtifactMissingError
from styledag.graph.blending.swept import SWEEP
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.reporting.reported_samples import samples_by_name
from styledag.graph.tracing.difference import since_previous
from styledag.manifest import read_rows
from styledag.report.comparison import ComparedRecipe, Comparison
from styledag.report.overview import Overview
from styledag.sampling.index import read_frames
from styledag.scoring import records
from styledag.scoring.score import SCORES, read_summary
from styledag.store.artifact import Artifact
from styledag.style.load import style_paths

if TYPE_CHECKING:
    from styledag.report.model import Samples


def compare_styles(catalogue: Catalogue) -> Overview:
    """Return what the page about all styles shows.

    Raises:
        StyleFileError: If a style file is broken.
    """
    compared, missing = [], []
    for style in style_paths(catalogue.project.styles_folder):
        try:
            compared.append(compare_recipes(catalogue, style))
        except ArtifactMissingError:
            missing.append(style)
    return Overview(styles=tuple(compared), missing=tuple(missing))


def compare_recipes(catalogue: Catalogue, style: str) -> Comparison:
    """Return what the page about a style's recipes shows.

    Raises:
        StyleFileError: If there is no such style.
        ArtifactMissingError: If no recipe of it has scores, or what they were made from is gone.
    """
    declared = catalogue.style(style)
    scores = {
        recipe: catalogue.store.current("scores", Partition(style, recipe).stored_as)
        for recipe in declared.recipes
    }
    made = {recipe: found for recipe, found in scores.items() if found is not None}
    if not made:
        raise ArtifactMissingError(
            f"no recipe of style {style!r} has scores: run `styledag run {style}` first"
        )
    read = {recipe: _read_by(catalogue, found) for recipe, found in made.items()}
    first = next(iter(read.values()))
    return Comparison(
        style=style,
        description=declared.description,
        prompts=declared.samples.prompts,
        seeds=declared.samples.seeds,
        base_samples=read_frames(first["evolution"].folder)[0],
        recipes=tuple(_compared(catalogue, recipe, made[recipe], read[recipe]) for recipe in made),
        untrained=_untrained(next(iter(made.values()))),
        missing=tuple(recipe for recipe in scores if recipe not in made),
    )


def _read_by(catalogue: Catalogue, scores: Artifact) -> dict[str, Artifact]:
    """Return the artifacts that scores were made from, as ``asset`` or ``sample_grid/blend``."""
    wanted = {"evolution", "sample_grid", SWEEP, "ema_unet"}
    read = {}
    for each in scores.build.inputs:
        if each.name in wanted:
            part = Partition.from_store(each.partition).part
            key = f"{each.name}/{part}" if part else each.name
            read[key] = catalogue.store.resolve(each)
    return read


def _untrained(scores: Artifact) -> tuple[records.ScoreRow, ...]:
    rows = read_rows(scores.folder / SCORES, records.ScoreRow)
    return tuple(row for row in rows if row.kind in records.UNTRAINED)


def _compared(
    catalogue: Catalogue, recipe: str, scores: Artifact, read: dict[str, Artifact]
) -> ComparedRecipe:
    shown = records.shown_row(read_rows(scores.folder / SCORES, records.ScoreRow))
    samples: Samples = samples_by_name(read)[shown.name]
    previous, changes = since_previous(catalogue.store, read["ema_unet"])
    return ComparedRecipe(
        previous=previous,
        changes=changes,
        name=recipe,
        version=read["ema_unet"].version,
        training_images=read_summary(scores.folder)["training_images"],
        score=shown,
        is_recommended=shown.recommended,
        samples=samples,
        recipe=read["ema_unet"].build.settings["Recipe"],
    )
