"""The recipes of one style side by side, on one self-contained page."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from styledag.errors import StorageError
from styledag.report.images import Source, Wanted, embed
from styledag.report.model import Samples
from styledag.report.page import page
from styledag.report.shown import RecipeRow, recipe_rows
from styledag.scoring.records import ScoreRow

MAX_IMAGE_BYTES = 14_000_000
"""Room for images; they are scaled down, then left out, to fit it."""


@dataclass(frozen=True, kw_only=True)
class ComparedRecipe:
    """One recipe with what is recommended of it.

    Attributes:
        name: The recipe's name.
        version: sha256 of the trained weights.
        training_images: Images that it was trained on.
        score: Scores of what is recommended; of the last blend where nothing is.
        is_recommended: Whether that is recommended.
        samples: Its images.
        recipe: The recipe as in the style file; values may be mappings themselves.
        previous: sha256 of the weights that were trained before; empty if the store has none.
        changes: What has changed since those, a short sentence each.
    """

    name: str
    version: str
    training_images: int
    score: ScoreRow
    is_recommended: bool
    samples: Samples
    recipe: Mapping[str, Any] = field(default_factory=dict)
    previous: str = ""
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The recipes of a style.

    Attributes:
        style: The style's name.
        description: Its description.
        prompts: Prompts, in the order of the style file.
        seeds: Seeds, in the order of the style file.
        base_samples: The base's own images.
        recipes: Recipes that have scores, in the order of the style file.
        untrained: Scores of the base without training, in each way that it was asked.
        missing: Names of those that have none.
    """

    style: str
    description: str
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    base_samples: Samples
    recipes: tuple[ComparedRecipe, ...]
    untrained: tuple[ScoreRow, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """A setting in which recipes differ.

    Attributes:
        key: Its key in the recipe.
        help: What it means.
        values: Its value in each recipe, in their order; ``None`` where it has none.
    """

    key: str
    help: str
    values: tuple[Any, ...]


def differences(comparison: Comparison) -> tuple[Difference, ...]:
    """Return the settings in which the recipes differ, in the order of the first that has each."""
    of_recipes: list[dict[str, RecipeRow]] = [
        {row.key: row for row in recipe_rows(each.recipe)} for each in comparison.recipes
    ]
    every = {key: row for rows in reversed(of_recipes) for key, row in rows.items()}
    found = []
    for key in dict.fromkeys(key for rows in of_recipes for key in rows):
        values = tuple(rows[key].value if key in rows else None for rows in of_recipes)
        if any(value != values[0] for value in values):
            found.append(Difference(key, every[key].help, values))
    return tuple(found)


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the page, and the folder that it lies in.

    Raises:
        StorageError: If an image is missing or unreadable, or the page cannot be written.
    """
    write_sheet(
        "comparison.html.j2",
        _sources(comparison),
        path,
        comparison=comparison,
        differences=differences(comparison),
    )


def write_sheet(template: str, sources: Iterable[Source], path: Path, **values: Any) -> None:
    """Write a self-contained page with images, and the folder that it lies in.

    Raises:
        StorageError: If an image is missing or unreadable, or the page cannot be written.
    """
    album = embed([Wanted(source=each) for each in dict.fromkeys(sources)], MAX_IMAGE_BYTES)
    content = page(template, images=album.images, album=album, **values)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as exc:
        raise StorageError(f"{path} cannot be written: {exc.strerror}") from exc


def _sources(comparison: Comparison) -> Iterator[Source]:
    columns = [comparison.base_samples, *(each.samples for each in comparison.recipes)]
    for seed in comparison.seeds:
        for prompt in comparison.prompts:
            yield from (column[prompt, seed] for column in columns if (prompt, seed) in column)
