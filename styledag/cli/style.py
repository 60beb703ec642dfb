"""`styledag new` and `styledag schema`: beginning a style file, and having an editor check it."""

import click

from styledag.cli.context import Session, pass_session


@click.command()
@click.argument("name")
@pass_session
def new(session: Session, name: str) -> None:
    """Write a commented style file for Stable Diffusion 1.5 and BLIP-large."""
    from styledag.style.schema import SCHEMA_FILE, style_schema
    from styledag.style.template import write_new_style

    folder = session.project.styles_folder
    path = write_new_style(name, folder)
    (folder / SCHEMA_FILE).write_text(style_schema(), encoding="utf-8")
    session.console.print(f"wrote {path}")
    session.console.print(f"edit it, then: styledag doctor {name}, styledag run {name}")


@click.command()
def schema() -> None:
    """Print the JSON schema of style files."""
    from styledag.style.schema import style_schema

    click.echo(style_schema(), nl=False)
