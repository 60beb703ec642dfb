"""All styles on one self-contained page: front images, what is recommended, and its scores."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from styledag.report.comparison import ComparedRecipe, Comparison, write_sheet
from styledag.report.images import Source


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All styles of a project.

    Attributes:
        styles: Styles that have scores, each with its recipes.
        missing: Names of those that have none.
    """

    styles: tuple[Comparison, ...]
    missing: tuple[str, ...] = ()


def front(style: Comparison) -> ComparedRecipe:
    """Return the recipe whose images stand for a style: the first with a recommendation."""
    chosen = (each for each in style.recipes if each.is_recommended)
    return next(chosen, style.recipes[0])


def write_overview(overview: Overview, path: Path) -> None:
    """Write the page, and the folder that it lies in.

    Raises:
        StorageError: If an image is missing or unreadable, or the page cannot be written.
    """
    write_sheet(
        "overview.html.j2",
        _sources(overview),
        path,
        overview=overview,
        styles=[(each, front(each)) for each in overview.styles],
    )


def _sources(overview: Overview) -> Iterator[Source]:
    """Yield the first seed of each prompt."""
    for style in overview.styles:
        samples = front(style).samples
        yield from (
            samples[prompt, style.seeds[0]]
            for prompt in style.prompts
            if (prompt, style.seeds[0]) in samples
        )
