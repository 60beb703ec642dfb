"""`styledag new` and `styledag schema`: beginning a style file, and having an editor check it."""

import click

from styledag.cli.context import Session, pass_session


@click.command()
@click.argument("name")
@click.option(
    "--base",
    help="Base to fine-tune, such as starter or sd15; sd15 on a machine with a GPU, else starter.",
)
@pass_session
def new(session: Session, name: str, base: str | None) -> None:
    """Write a commented style file with settings that suit a base."""
    from styledag.style.schema import SCHEMA_FILE, style_schema
    from styledag.style.template import write_new_style

    folder = session.project.styles_folder
    path = write_new_style(name, folder, base=base or _usual_base())
    (folder / SCHEMA_FILE).write_text(style_schema(), encoding="utf-8")
    session.console.print(f"wrote {path}")
    session.console.print(f"edit it, then: styledag doctor {name}, styledag run {name}")


def _usual_base() -> str:
    from styledag.models.compute import ComputeSettings, resolve_compute

    return "starter" if resolve_compute(ComputeSettings()).device.type == "cpu" else "sd15"


@click.command()
def schema() -> None:
    """Print the JSON schema of style files."""
    from styledag.style.schema import style_schema

    click.echo(style_schema(), nl=False)
