"""`styledag run` and `styledag demo`: bring a style up to date, stage by stage."""

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.markup import escape

from styledag.captions.settings import SOURCES
from styledag.cli.context import UI_PORT, Session, pass_session
from styledag.cli.show import IMAGE_ASSETS
from styledag.errors import ModelError
from styledag.loopback import LOOPBACK
from styledag.store.workspace import LOOKING

if TYPE_CHECKING:
    from styledag.store.store import Built

DEMO_STYLE = "twemoji"
_LOOKED = {"pages": "pages read", "questions": "questions asked"}
_OF_CAPTIONS = {
    **{f"source_{source}": f"{{source_{source}}} from {source}" for source in SOURCES},
    "rule_lines_join": "{rule_lines_join} of several lines, which were joined",
    "rule_lines_first": "{rule_lines_first} of several lines, of which the first was taken",
    "cut_to_fit": "{cut_to_fit} cut to what the base reads",
    "overrides_unmatched": "{overrides_unmatched} overrides mean no image, such as "
    "{overrides_unmatched_first[0]}",
}
"""Figures of captions in a run's line, by the fact that counts them; none that is 0."""
ICON_STYLES = ("game-icons", "openmoji")
"""Demo styles whose images are those of :data:`styledag.demo.icons.SETS`."""
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
@click.option("--to", metavar="ASSET", help="Stop after this asset, such as curated_images.")
@click.option("--only", metavar="ASSET", help="Make this asset alone, from what is there.")
@device_option
@pass_session
def run(session: Session, name: str, to: str | None, only: str | None, device: Device) -> None:
    """Bring a style up to date: collect, train, blend, draw, score, report."""
    if to and only:
        raise click.UsageError("give --to or --only, not both")
    style, _, recipe = name.partition(".")
    assets = _assets(session, to, only)
    bring_up_to_date(session, style, [recipe] if recipe else [], device, assets=assets)


def _assets(session: Session, to: str | None, only: str | None) -> frozenset[str]:
    """Return the assets to make; all if none is named."""
    named = to or only
    if named is None:
        return frozenset()
    catalogue = session.catalogue
    needed = catalogue.needed_for(named)
    if to:
        return needed
    publisher = catalogue.publisher_of.get(named)
    if publisher is not None:
        raise click.UsageError(f"{named} is made while {publisher} runs: --only {publisher}")
    return frozenset({named})


@click.command()
@click.option(
    "--style",
    type=click.Choice([DEMO_STYLE, *ICON_STYLES]),
    default=DEMO_STYLE,
    show_default=True,
    help="Whose drawings: those of the others are fetched from the npm registry at first use.",
)
@device_option
@pass_session
def demo(session: Session, style: str, device: Device) -> None:
    """Run the whole graph on the starter: on a small wiki on this machine, or on an icon set."""
    from styledag.demo.icons import icon_images
    from styledag.demo.wiki import shared_wiki

    root = session.project.root
    if not session.project.starter.is_dir():
        raise ModelError(
            f"the demo needs the starter, and {session.project.starter} is no folder; copy "
            "data/starter from styledag's repository (in a clone: `git checkout -- data/starter`)"
        )
    with ExitStack() as stack:
        if style == DEMO_STYLE:
            url = stack.enter_context(shared_wiki(extra=root / "data" / "wiki"))
            session.console.print(f"the demo's wiki is at {url}")
        else:
            session.project.style(style)
            images = icon_images(style, root)
            session.console.print(f"the demo's images are in {images.relative_to(root)}")
        bring_up_to_date(session, style, [], device)
    session.console.print("browse the graph and its images: styledag ui, or make ui")


def bring_up_to_date(
    session: Session,
    style: str,
    recipes: list[str],
    device: Device,
    *,
    assets: Collection[str] = (),
) -> None:
    """Materialise a style's assets in order, saying what each one did.

    Raises:
        StyledagError: With all checks that fail before anything is fetched, or the first stage
            that fails.
    """
    from styledag.cli.bars import shown_progress
    from styledag.defs.code_location import build_definitions
    from styledag.defs.opened_history import open_history
    from styledag.defs.runs import run_step, steps_of
    from styledag.graph.checking.preflight import require_ready
    from styledag.models.compute import ComputeSettings

    project, console = session.project, session.console
    os.chdir(project.root)
    started_at = time.monotonic()
    done: list[Built] = []

    def on_built(built: "Built") -> None:
        done.append(built)
        _say(console, built)

    catalogue, compute = session.catalogue, ComputeSettings(device=device)
    steps = [
        replace(step, assets=chosen)
        for step in steps_of(catalogue, style, recipes)
        if (chosen := tuple(each for each in step.assets if not assets or each in assets))
    ]
    require_ready(catalogue, style, recipes, compute, assets=assets)
    definitions = build_definitions(
        project,
        progress_of=lambda _, subject: shown_progress(console, subject),
        on_built=on_built,
        on_failed_check=lambda check, why: console.print(
            f"  [yellow]{check}[/yellow]: {escape(why)}"
        ),
        on_wait=lambda sentence: console.print(escape(sentence)),
        # Somebody watches, reads the failure, and runs the command again.
        retry_delays_s=(),
        checks_first=False,
        compute=compute,
        pages_url=f"http://{LOOPBACK}:{UI_PORT + 1}",
    )
    with open_history(project.root) as instance:
        for step in steps:
            run_step(definitions, instance, step)
    _say_end(session, done, time.monotonic() - started_at)


def _say(console: Console, built: "Built") -> None:
    from styledag.graph.names import Partition

    artifact, facts = built.artifact, built.artifact.facts
    figures = [f"{facts['kept']} of {facts['found']} kept"] if "found" in facts else []
    figures += [
        f"{count} {name.removeprefix('rejected_').replace('_', ' ')}"
        for name, count in facts.items()
        if name.startswith("rejected_")
    ]
    figures += [words.format_map(facts) for name, words in _OF_CAPTIONS.items() if facts.get(name)]
    did = [f"{count} {kind}" for kind, count in sorted(built.work.items())]
    figures.append(", ".join(["unchanged"] * built.cached + did) or "made anew")
    console.print(
        f"[bold]{artifact.asset:<16}[/bold] {Partition.from_store(artifact.partition).key:<20} "
        f"[cyan]{artifact.version[:12]}[/cyan]  {escape('; '.join(figures))}"
    )


def summary(done: "Sequence[Built]", elapsed_s: float) -> str:
    """Return in a line what a run did: work by kind, stages made anew without any, or nothing."""
    work: Counter[str] = Counter()
    for built in done:
        work.update(built.work)
    made = sum(not built.cached for built in done)
    # An API has to be asked what there is, and most pages to be read anew; that is no news.
    if not made and not work.keys() - LOOKING:
        looked = (f"{work[kind]} {how}" for kind, how in _LOOKED.items() if work[kind])
        asked = "".join(f", {each}" for each in looked)
        return f"nothing changed: all was looked at in {elapsed_s:.0f} s, nothing redone{asked}"
    did = ", ".join(f"{count} {kind}" for kind, count in sorted(work.items()))
    return f"done in {elapsed_s:.0f} s: {did or f'{made} made anew'}"


def _say_end(session: Session, done: "Sequence[Built]", elapsed_s: float) -> None:
    console = session.console
    console.print()
    console.print(summary(done, elapsed_s))
    for built in done:
        if built.artifact.asset == "model_report":
            report = built.artifact.folder / "report.html"
            console.print(f"report of {built.artifact.partition}: {session.shown(report)}")
    last = done[-1].artifact if done else None
    if last is not None and last.asset in IMAGE_ASSETS:
        console.print(f"look at them: styledag show {last.partition} {last.asset}")
