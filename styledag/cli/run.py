"""`styledag run` and `styledag demo`: bring a style up to date, stage by stage."""

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console

from styledag.cli.context import Session, pass_session
from styledag.project import Project

if TYPE_CHECKING:
    from styledag.defs.runs import Materialised

DEMO_STYLE = "twemoji"
Device = Literal["auto", "cuda", "mps", "cpu"]

device_option: Callable[..., Any] = click.option(
    "--device",
    type=click.Choice(["auto", "cuda", "mps", "cpu"]),
    default="auto",
    show_default=True,
    help="What to compute with; asking for one that isn't there is an error.",
)


@click.command()
@click.argument("name", metavar="STYLE[.RECIPE]")
@device_option
@pass_session
def run(session: Session, name: str, device: Device) -> None:
    """Bring a style up to date: collect, train, blend, draw, score, report."""
    style, _, recipe = name.partition(".")
    bring_up_to_date(session, style, [recipe] if recipe else [], device)


@click.command()
@device_option
@pass_session
def demo(session: Session, device: Device) -> None:
    """Run the whole graph on the starter and a small wiki on this machine."""
    from styledag.demo.wiki import serve_wiki

    root = session.project.root
    if not (root / "data" / "starter").is_dir():
        from styledag.starter.init import init_starter

        session.console.print("building the starter's architecture with random weights")
        init_starter(root / "data" / "starter")
    with serve_wiki(extra=root / "data" / "wiki") as site:
        session.console.print(f"the demo's wiki is at {site.url}")
        bring_up_to_date(session, DEMO_STYLE, [], device)
    session.console.print("browse the graph and its pictures: make ui")


def bring_up_to_date(session: Session, style: str, recipes: list[str], device: Device) -> None:
    """Materialise a style's assets in order, saying what each one did.

    Raises:
        StyledagError: With the sentence of the first thing that failed.
    """
    from styledag.cli.bars import BarsProgress
    from styledag.defs.code_location import build_definitions
    from styledag.defs.runs import open_history, run_step, steps_of
    from styledag.graph.graph import Graph
    from styledag.models.compute import ComputeSettings

    project, console = session.project, session.console
    os.chdir(project.root)
    started_at = time.monotonic()
    steps = steps_of(Graph(project), style, recipes)
    definitions = build_definitions(
        project,
        progress_of=lambda _: BarsProgress(console),
        compute=ComputeSettings(device=device),
    )
    done: list[Materialised] = []
    with open_history(project.root) as instance:
        for step in steps:
            for materialised in run_step(definitions, instance, step):
                _say(console, materialised)
                done.append(materialised)
    _say_end(console, project, done, time.monotonic() - started_at)


def _say(console: Console, materialised: "Materialised") -> None:
    metadata = materialised.metadata
    figures = [f"{metadata['kept']} of {metadata['found']} kept"] if "found" in metadata else []
    figures += [
        f"{count} {name.removeprefix('rejected_').replace('_', ' ')}"
        for name, count in metadata.items()
        if name.startswith("rejected_")
    ]
    work = _work(materialised)
    did = ", ".join(f"{count} {kind}" for kind, count in work.items())
    figures.append(did or ("unchanged" if metadata["cached"] else "made anew"))
    console.print(
        f"[bold]{materialised.asset:<16}[/bold] {materialised.partition:<22} "
        f"[cyan]{metadata['version'][:12]}[/cyan]  {'; '.join(figures)}"
    )


def _say_end(
    console: Console, project: Project, done: "list[Materialised]", elapsed_s: float
) -> None:
    work: Counter[str] = Counter()
    for materialised in done:
        work.update(_work(materialised))
    console.print()
    if work:
        did = ", ".join(f"{count} {kind}" for kind, count in sorted(work.items()))
        console.print(f"done in {elapsed_s:.0f} s: {did}")
    else:
        console.print(f"nothing changed: looked at everything in {elapsed_s:.0f} s and redid none")
    for materialised in done:
        if materialised.asset == "model_report":
            report = Path(materialised.metadata["location"]) / "report.html"
            console.print(f"report of {materialised.partition}: {_shown(report, project.root)}")


def _work(materialised: "Materialised") -> dict[str, int]:
    return {
        name.removeprefix("did_"): count
        for name, count in materialised.metadata.items()
        if name.startswith("did_")
    }


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
