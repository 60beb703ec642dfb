"""`styledag compare`: recipes of a style, or all styles, side by side: a table and a page."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from styledag.cli.context import Session, new_table, pass_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from styledag.report.comparison import ComparedRecipe, Comparison
    from styledag.scoring.records import Estimate, ScoreRow

_SHEETS = Path("data") / "sheets"


@click.command()
@click.argument("style", required=False)
@pass_session
def compare(session: Session, style: str | None) -> None:
    """Show the recipes of a style side by side: what each gives, and a page of images to open.

    Of each recipe it also shows what has changed since it was trained before. Without STYLE it
    shows all styles.
    """
    from styledag.graph.comparison import compare_recipes, compare_styles
    from styledag.report.comparison import write_comparison
    from styledag.report.overview import write_overview

    catalogue, folder = session.catalogue, session.project.root / _SHEETS
    if style is None:
        overview = compare_styles(catalogue)
        _print_table(session, overview.styles)
        _print_missing(session, overview.missing)
        path = folder / "styles.html"
        write_overview(overview, path)
    else:
        comparison = compare_recipes(catalogue, style)
        _print_table(session, [comparison])
        for recipe in comparison.recipes:
            for change in recipe.changes:
                session.console.print(
                    f"{escape(recipe.name)} since {recipe.previous[:12]}: {escape(change)}"
                )
        _print_missing(session, [f"{style}.{recipe}" for recipe in comparison.missing])
        path = folder / f"{style}.recipes.html"
        write_comparison(comparison, path)
    session.console.print(f"page: {path.relative_to(session.project.root)}")


def _print_table(session: Session, comparisons: "Sequence[Comparison]") -> None:
    headings = ("model", "recommended", "style learned", "base remembered", "copying")
    table = new_table(*headings, pad_edge=False)
    for comparison in comparisons:
        for recipe in comparison.recipes:
            cells = _cells(f"{comparison.style}.{recipe.name}", recipe)
            table.add_row(*(escape(cell) for cell in cells))
        for row in comparison.untrained:
            cells = (f"{comparison.style}: {row.name}", "not trained", *_score_cells(row))
            table.add_row(*(escape(cell) for cell in cells))
    session.console.print(table)


def _print_missing(session: Session, names: "Sequence[str]") -> None:
    for name in names:
        session.console.print(f"{escape(name)} has no scores: run `styledag run {escape(name)}`")


def _cells(name: str, recipe: "ComparedRecipe") -> tuple[str, ...]:
    score = recipe.score
    shown = score.name if recipe.is_recommended else f"nothing ({score.name} is shown)"
    return (name, shown, *_score_cells(score))


def _score_cells(score: "ScoreRow") -> tuple[str, ...]:
    from styledag.report.wording import number, percent

    def interval(estimate: "Estimate") -> str:
        low, high = estimate.low, estimate.high
        around = "" if low is None or high is None else f" ({number(low)} to {number(high)})"
        return f"{number(estimate.value)}{around}"

    return (
        interval(score.style_learned),
        interval(score.base_remembered),
        percent(score.copying.value),
    )
