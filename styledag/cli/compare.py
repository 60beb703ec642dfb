"""`styledag compare`: the recipes of a style side by side, as a table and as a page of images."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from styledag.cli.context import Session, pass_session

if TYPE_CHECKING:
    from styledag.report.comparison import ComparedRecipe

_SHEETS = Path("data") / "sheets"


@click.command()
@click.argument("style")
@pass_session
def compare(session: Session, style: str) -> None:
    """Show the recipes of a style side by side: what each gives, and a page of images to open."""
    from styledag.graph.catalogue import Catalogue
    from styledag.graph.comparison import compare_recipes
    from styledag.report.comparison import write_comparison

    comparison = compare_recipes(Catalogue(session.project), style)
    table = Table(box=None, pad_edge=False)
    for heading in ("recipe", "recommended", "style learned", "base remembered", "copying"):
        table.add_column(heading)
    for recipe in comparison.recipes:
        table.add_row(*(escape(cell) for cell in _cells(recipe)))
    session.console.print(table)
    for name in comparison.missing:
        session.console.print(f"{escape(name)} has no scores: run `styledag run {style}.{name}`")
    path = session.project.root / _SHEETS / f"{style}.recipes.html"
    write_comparison(comparison, path)
    session.console.print(f"page: {path.relative_to(session.project.root)}")


def _cells(recipe: "ComparedRecipe") -> tuple[str, ...]:
    from styledag.report.wording import number, percent

    def interval(value: float | None, low: float | None, high: float | None) -> str:
        around = "" if low is None or high is None else f" ({number(low)} to {number(high)})"
        return f"{number(value)}{around}"

    score = recipe.score
    return (
        recipe.name,
        score.name if recipe.is_recommended else f"nothing ({score.name} is shown)",
        interval(score.learned, score.learned_low, score.learned_high),
        interval(score.remembered, score.remembered_low, score.remembered_high),
        percent(score.copying),
    )
