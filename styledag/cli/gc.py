"""`styledag gc`: remove what nothing that is kept came from."""

import os

import click
from rich.filesize import decimal

from styledag.cli.context import Session, new_table, pass_session


@click.command()
@click.option("--delete", is_flag=True, help="Remove it; without this, it is only listed.")
@click.option(
    "--states",
    is_flag=True,
    help="Training states too, from which a recipe with more epochs would continue.",
)
@click.option(
    "--undeclared",
    is_flag=True,
    help="Also what no style file here declares any more: of styles and recipes that were removed, "
    "and epochs and weights that were taken out. Not in a store that other projects share.",
)
@click.option(
    "--history-days",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Runs that are older, and made nothing that is shown today, leave the history.",
)
@pass_session
def gc(
    session: Session, *, delete: bool, states: bool, undeclared: bool, history_days: float
) -> None:
    """List what can be removed: old versions, abandoned work, old runs.

    What is current stays, with all that it came from and every checkpoint that a model lists.
    """
    from styledag.defs.history import old_runs
    from styledag.defs.opened_history import open_history
    from styledag.graph.garbage import find_garbage, remove_garbage

    catalogue, console = session.catalogue, session.console
    asked = {"training state": (states, "--states"), "undeclared": (undeclared, "--undeclared")}
    spared = {kind: option for kind, (is_asked, option) in asked.items() if not is_asked}
    found = find_garbage(catalogue)
    garbage = [each for each in found if each.kind not in spared]
    table = new_table("kind", "asset", "partition", "version or key", "size")
    for each in garbage:
        name = each.name.rpartition("/")[2][:12]
        table.add_row(each.kind, each.asset, each.partition, name, decimal(each.size_bytes))
    if garbage:
        console.print(table)
    os.chdir(session.project.root)
    with open_history(session.project.root) as instance:
        runs = list(old_runs(instance, history_days))
        if delete:
            remove_garbage(catalogue, garbage)
            for run in runs:
                instance.delete_run(run)
    for kind, option in spared.items():
        if sizes := [each.size_bytes for each in found if each.kind == kind]:
            console.print(f"{kind}: {decimal(sum(sizes))} in {len(sizes)} folders, with {option}")
    size = decimal(sum(each.size_bytes for each in garbage))
    what = f"{size} in {len(garbage)} folders, and {len(runs)} old runs"
    console.print(f"removed {what}" if delete else f"{what} can be removed: --delete removes them")
