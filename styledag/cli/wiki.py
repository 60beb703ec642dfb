"""`styledag wiki`: the demo's wiki, as a site to scrape."""

import threading
from pathlib import Path

import click

from styledag.cli.context import Session, pass_session
from styledag.demo.wiki import DEFAULT_PORT, serve_wiki


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port on the loopback.",
)
@click.option(
    "--extra",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of further images, CATEGORY/NAME.png; data/wiki unless named.",
)
@pass_session
def wiki(session: Session, port: int, extra: Path | None) -> None:
    """Serve the demo's wiki until interrupted."""
    with serve_wiki(port=port, extra=extra or session.project.root / "data" / "wiki") as site:
        session.console.print(f"serving {site.url} (Ctrl-C ends it)")
        threading.Event().wait()
