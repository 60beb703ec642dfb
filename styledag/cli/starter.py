"""`styledag starter`: the small models that everything runs on without a GPU or a hub."""

from pathlib import Path

import click

from styledag.cli.context import Session, pass_session


@click.group()
def starter() -> None:
    """Make the starter models."""


@starter.command()
@click.option("--seed", default=0, show_default=True, help="Seed of the random weights.")
@click.option("--overwrite", is_flag=True, help="Replace a starter that is there already.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to; data/starter of the project unless named.",
)
@pass_session
def init(session: Session, seed: int, folder: Path | None, *, overwrite: bool) -> None:
    """Build the starter's architecture with random weights."""
    from styledag.starter.init import init_starter

    target = folder or session.project.root / "data" / "starter"
    init_starter(target, seed=seed, overwrite=overwrite)
    session.console.print(f"wrote {target}")
