"""`styledag status` and `styledag doctor`: what is there, and whether all that is needed is."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import click
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from styledag.cli.context import Session, new_table, pass_session

if TYPE_CHECKING:
    from styledag.graph.catalogue import Catalogue
    from styledag.graph.freshness.next_run import Cost
    from styledag.graph.status import AssetStatus, State

_COLOURS: "Mapping[State, str]" = {
    "current": "green",
    "outdated": "yellow",
    "missing": "dim",
    "broken": "red",
}


@click.command()
@click.argument("style", required=False)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--next", "with_next", is_flag=True, help="What a run would do, and what it costs.")
@pass_session
def status(session: Session, style: str | None, *, as_json: bool, with_next: bool) -> None:
    """Show each asset of a style: what is there, what is out of date and why.

    Of several styles, show how many assets are in each state; --json has all of them.

    With --next, show what a run would build instead: how many images it reads at most, optimiser
    steps, bytes, and time as the newest builds took.
    """
    from styledag.errors import StyledagError, StyleFileError
    from styledag.graph.status import AssetStatus, style_status

    catalogue = session.catalogue.at_once()
    names = [style] if style else list(session.project.style_paths)
    states: dict[str, list[AssetStatus]] = {}
    broken: dict[str, str] = {}
    for name in names:
        try:
            states[name] = style_status(catalogue, name)
        except StyledagError as exc:
            if style and not as_json:
                raise
            broken[name] = str(exc)
            states[name] = [AssetStatus("style", name, "broken", None, str(exc))]
    if with_next:
        _show_next(session, catalogue, states, as_json=as_json)
    elif as_json:
        plain = {name: [asdict(each) for each in rows] for name, rows in states.items()}
        click.echo(json.dumps(plain, indent=2))
    elif len(states) > 1:
        session.console.print(_overview(states))
    else:
        for name, rows in states.items():
            session.console.print(_table(name, rows))
    if broken:
        raise StyleFileError("\n".join(broken.values()))


def _show_next(
    session: Session,
    catalogue: "Catalogue",
    states: "Mapping[str, list[AssetStatus]]",
    *,
    as_json: bool,
) -> None:
    from styledag.defs.history import recorded_seconds
    from styledag.defs.opened_history import open_history
    from styledag.graph.freshness.next_run import next_run

    os.chdir(session.project.root)
    with open_history(session.project.root) as instance:
        seconds_of = partial(recorded_seconds, instance)
        costs = {name: next_run(catalogue, rows, seconds_of) for name, rows in states.items()}
    if as_json:
        plain = {name: [asdict(each) for each in rows] for name, rows in costs.items()}
        click.echo(json.dumps(plain, indent=2))
        return
    for name, rows in costs.items():
        session.console.print(_cost_table(name, rows))


def _cost_table(style: str, rows: "list[Cost]") -> Table:
    title = f"next run of {style}" if rows else f"next run of {style}: sources are asked"
    table = new_table("asset", "builds", "images", "steps", "size", "time", title=title)
    for row in rows:
        table.add_row(
            row.asset,
            str(row.partitions),
            *("" if each is None else f"{each:,}" for each in (row.images, row.steps)),
            "" if row.size_bytes is None else decimal(row.size_bytes),
            "" if row.seconds is None else str(timedelta(seconds=math.ceil(row.seconds))),
        )
    return table


def _overview(states: "Mapping[str, list[AssetStatus]]") -> Table:
    table = new_table("style", *_COLOURS, "first that is not current")
    for style, rows in states.items():
        counts = Counter(row.state for row in rows)
        first = next((f"{row.asset}: {row.why}" for row in rows if row.state != "current"), "")
        shown = (
            f"[{colour}]{counts[state]}[/{colour}]" if counts[state] else ""
            for state, colour in _COLOURS.items()
        )
        table.add_row(style, *shown, escape(first))
    return table


def _table(style: str, rows: "list[AssetStatus]") -> Table:
    table = new_table("asset", "partition", "state", "version", "why", title=style)
    for row in rows:
        colour = _COLOURS[row.state]
        table.add_row(
            row.asset,
            row.partition,
            f"[{colour}]{row.state}[/{colour}]",
            (row.version or "")[:12],
            escape(row.why),
        )
    return table


@click.command()
@click.argument("name", metavar="[STYLE|MODEL]", required=False)
@pass_session
def doctor(session: Session, name: str | None) -> None:
    """Check the machine, and a style or all of them, before anything runs.

    All weights are read, and each source is asked one question. Of a model, such as twemoji.full,
    it also predicts what its training will compute and how long that takes.
    """
    from styledag.cli.checks import check_machine
    from styledag.cli.prediction import predict_model
    from styledag.graph.checking.finding import Finding
    from styledag.graph.checking.packages_check import TORCHVISION
    from styledag.graph.checking.preflight import check_style
    from styledag.graph.names import Partition
    from styledag.models.compute import ComputeSettings

    catalogue = session.catalogue
    model = Partition.parse_model(name) if name is not None and "." in name else None
    style = name if model is None else model.style

    failed: list[str] = []

    def findings() -> Iterator[Finding]:
        yield from check_machine(catalogue)
        recipes = [] if model is None else [model.recipe]
        for each in [style] if style else session.project.style_paths:
            yield from check_style(catalogue, each, recipes, ComputeSettings())
        if model is not None and TORCHVISION not in failed:
            yield from predict_model(catalogue, model, fits=f"{model}: memory" not in failed)

    for finding in findings():
        mark = "[green]ok  [/green]" if finding.is_fine else "[red]FAIL[/red]"
        session.console.print(f"{mark} {escape(finding.subject)}: {escape(finding.detail)}")
        if not finding.is_fine:
            failed.append(finding.subject)
    if failed:
        raise click.exceptions.Exit(1)
