"""The `styledag` command. Loads no stage before one is asked for."""

import errno
import io
import os
import sys
from pathlib import Path

import click

from styledag import __version__
from styledag.cli.captions import captions
from styledag.cli.compare import compare
from styledag.cli.context import Session, printable
from styledag.cli.diff import diff
from styledag.cli.export import export
from styledag.cli.gc import gc
from styledag.cli.lineage import lineage
from styledag.cli.publish import publish
from styledag.cli.run import demo, run
from styledag.cli.schedule import schedule
from styledag.cli.show import show
from styledag.cli.sign import sign
from styledag.cli.status import doctor, status
from styledag.cli.style import init, new, schema
from styledag.cli.ui import ui
from styledag.cli.wiki import wiki
from styledag.errors import StyledagError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="styledag")
@click.option(
    "--project",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with dagster.yaml; found from the current folder upwards unless named.",
)
@click.option(
    "--store",
    envvar="STYLEDAG_STORE",
    help="Folder, relative to the project, or fsspec URL of the artifact store; data/store unless "
    "named.",
)
@click.pass_context
def cli(context: click.Context, project: Path | None, store: str | None) -> None:
    """Turn a visual style, declared in one YAML file, into a text-to-image model.

    The web UI over the same graph is `styledag ui`, or `dagster dev`.
    """
    context.obj = Session(project, store)


for command in (
    *(init, new, demo, run, show, compare, ui, status, lineage, doctor, schedule, gc),
    *(captions, diff, export, publish, sign, wiki, schema),
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; every error that styledag raises on purpose is one clear sentence."""
    _sleep_after_a_moment()
    for stream in (sys.stdout, sys.stderr):
        # A title in letters that the terminal's encoding does not have is no failure.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Returned and not exited with, as only the standalone mode does that.
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\ninterrupted; the same command goes on from here", err=True)
        sys.exit(130)
    except StyledagError as exc:
        click.echo(printable(f"error: {exc}"), err=True)
        sys.exit(1)
    except OSError as exc:
        # Of a file of the user's: those of the store are storage errors already.
        if exc.filename is not None:
            reason = f"cannot use {os.fsdecode(exc.filename)}: {os.strerror(exc.errno or 0)}"
        elif exc.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"what this prints cannot be written: {os.strerror(exc.errno)}"
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
        else:
            raise
        click.echo(printable(f"error: {reason}"), err=True)
        sys.exit(1)


def _sleep_after_a_moment() -> None:
    """Let idle threads of torch on a processor spin for a moment only, unless the user has decided.

    They spin for milliseconds otherwise, which costs minutes when something else runs beside them;
    where they fall asleep at once, a training takes a quarter longer. Read when torch is loaded.
    """
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        os.environ["GOMP_SPINCOUNT"] = "10000"
