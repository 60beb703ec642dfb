"""`styledag schedule`: whether a style is refreshed by itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from styledag.cli.context import Session, new_table, pass_session

if TYPE_CHECKING:
    from styledag.defs.switches import Switches


@click.group()
def schedule() -> None:
    """Switch on or off what keeps a style fresh.

    While `styledag ui` runs, a style that is on asks its sources by the `refresh` of its style
    file, and what follows from their news is built.
    """


@schedule.command("on")
@click.argument("style")
@pass_session
def switch_on(session: Session, style: str) -> None:
    """Refresh a style by itself."""
    with _switches(session) as switches:
        switches.switch_on(style)
        _report(session, switches, style)


@schedule.command("off")
@click.argument("style")
@pass_session
def switch_off(session: Session, style: str) -> None:
    """Refresh a style by hand only."""
    with _switches(session) as switches:
        switches.switch_off(style)
        _report(session, switches, style)


@schedule.command("list")
@pass_session
def list_all(session: Session) -> None:
    """Show each style that has a `refresh`, and whether it is on."""
    with _switches(session) as switches:
        states = switches.states()
        if not states:
            session.console.print(
                "no style here has a refresh: write one into its file, such as refresh: 0 3 * * *"
            )
            return
        table = new_table("style", "refresh (UTC)", "state")
        for each in states:
            table.add_row(each.style, each.cron, "on" if each.is_on else "off")
    session.console.print(table)


@contextmanager
def _switches(session: Session) -> "Iterator[Switches]":
    from styledag.defs.opened_history import open_history
    from styledag.defs.switches import project_switches

    root = session.project.root
    os.chdir(root)
    with open_history(root) as instance:
        yield project_switches(session.catalogue, instance)


def _report(session: Session, switches: "Switches", style: str) -> None:
    state = next((each for each in switches.states() if each.style == style), None)
    if state is not None and state.is_on:
        session.console.print(
            f"{style} is refreshed at {state.cron} (UTC) while `styledag ui` runs; after a change "
            "of `refresh` or a new style, reload its definitions there"
        )
    else:
        session.console.print(f"{style} is no longer refreshed by itself")
