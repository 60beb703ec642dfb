"""`styledag init`, `new` and `schema`: beginning a project and a style file, and checking it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from styledag.cli.context import Session, pass_session

if TYPE_CHECKING:
    from styledag.project import Project


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@pass_session
def init(session: Session, folder: Path) -> None:
    """Make a folder a project: with Dagster's settings, and room for style files.

    FOLDER is the current one if it is left out. A clone of styledag's repository is a project.
    """
    from styledag.project import Project

    project = Project.create(folder.resolve())
    session.console.print(f"{project.root} is a styledag project")
    into = "" if project.root == Path.cwd() else f"cd {folder}, then: "
    session.console.print(f"{into}styledag new NAME")


@click.command()
@click.argument("name")
@click.option(
    "--base",
    help="Base to fine-tune, such as starter, sd15 or sdxl; without it, the starter on a machine "
    "without a GPU if the project has it, else sd15.",
)
@click.option(
    "--from",
    "address",
    metavar="URL|PATH",
    help="Where the images are: a wiki, a page or category of it, another site, a dataset on the "
    "Hugging Face Hub, a folder, an archive, or a list of URLs.",
)
@pass_session
def new(session: Session, name: str, base: str | None, address: str | None) -> None:
    """Write a commented style file with settings that suit a base.

    With --from, its source is the one that is found there.
    """
    from styledag.collect.discover import Discovered, discover_source
    from styledag.style.load import load_style
    from styledag.style.model import SCHEMA_FILE, style_schema
    from styledag.style.template import write_new_style

    folder = session.project.styles_folder
    found = Discovered({})
    if address is not None:
        found = discover_source(address, project=session.project.root)
    chosen = base or _usual_base(session.project)
    path = write_new_style(
        name,
        folder,
        base=chosen,
        source=found.source or None,
        remarks=found.remarks,
        images=found.images,
    )
    (folder / SCHEMA_FILE).write_text(style_schema(), encoding="utf-8")
    session.console.print(f"wrote {path}")
    starter = session.project.starter
    if chosen == "starter" and not starter.is_dir():
        session.console.print(f"copy data/starter of styledag's repository to {starter} first")
    if address is None:
        first, *others = load_style(path).recipes
        model = f"{name}.{first}"
        session.console.print(f"edit it, then: styledag doctor {model}, styledag run {model}")
        if others:
            session.console.print(
                f"other recipes: {', '.join(others)}; styledag run {name} trains all"
            )
        return
    count = "" if found.images is None else f" with {found.images} images"
    session.console.print(f"found a source of type {found.source['type']}{count}; look at them:")
    session.console.print(f"  styledag run {name} --to curated_images")
    session.console.print(f"  styledag show {name}")


def _usual_base(project: "Project") -> str:
    from styledag.models.compute import ComputeSettings, resolve_compute

    if not project.starter.is_dir():
        return "sd15"
    return "starter" if resolve_compute(ComputeSettings()).device.type == "cpu" else "sd15"


@click.command()
def schema() -> None:
    """Print the JSON schema of style files."""
    from styledag.style.model import style_schema

    click.echo(style_schema(), nl=False)
