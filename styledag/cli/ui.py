"""`styledag ui`: the web UI over the project's history, with the demo's wiki beside it."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from types import FrameType

import click

from styledag.cli.context import UI_PORT, Session, pass_session
from styledag.cli.run import DEMO_STYLE
from styledag.errors import StyledagError

_PATIENCE_S = 20
"""Seconds that the web UI's processes have to end after Ctrl-C before they are killed."""
_ADVERTISEMENT = "ignore:Function `dev_command` is superseded"
"""Dagster's own, for a further package; the command stays."""


@click.command()
@click.option("--port", default=UI_PORT, show_default=True, help="Port on the loopback.")
@pass_session
def ui(session: Session, port: int) -> None:
    """Open the web UI on the project's history until interrupted.

    Contact sheets, reports and grids that it links to are served on the next port. New styles,
    recipes and weights appear by themselves.
    """
    from styledag.cli.reloading import reloading
    from styledag.defs.runs import open_history

    root = session.project.root
    os.chdir(root)
    with ExitStack() as stack:
        if (session.project.styles_folder / f"{DEMO_STYLE}.yaml").is_file():
            _serve_demo_wiki(session, stack)
        pages = _serve_pages(session, stack, port + 1)
        # Opening the history ends runs whose process is gone.
        stack.enter_context(open_history(root))
        command = [sys.executable, "-W", _ADVERTISEMENT, "-m", "dagster", "dev"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        environment = {"DAGSTER_HOME": str(root)} | os.environ | {"STYLEDAG_PAGES": pages}
        stack.enter_context(reloading(session.project, f"http://127.0.0.1:{port}"))
        # In a group of its own, so that Ctrl-C reaches it once: through this process.
        process = subprocess.Popen(command, env=environment, process_group=0)
        status = _wait(process)
    if status not in (0, -signal.SIGINT, -signal.SIGTERM):
        raise StyledagError(
            f"the web UI ended with status {status}: its output above has the reason; is port "
            f"{port} in use? `styledag ui --port` takes another"
        )


def _serve_demo_wiki(session: Session, stack: ExitStack) -> None:
    from styledag.demo.wiki import shared_wiki

    try:
        url = stack.enter_context(shared_wiki(extra=session.project.root / "data" / "wiki"))
    except StyledagError as exc:
        session.console.print(f"without the demo's wiki: {exc}")
    else:
        session.console.print(f"the demo's wiki is at {url}")


def _serve_pages(session: Session, stack: ExitStack, port: int) -> str:
    """Serve what the web UI links to, and return its address; empty if that cannot be."""
    from styledag.cli.page_server import serve_pages
    from styledag.graph.catalogue import Catalogue

    try:
        return stack.enter_context(serve_pages(Catalogue(session.project).store, port=port))
    except StyledagError as exc:
        session.console.print(f"without links to pages: {exc}")
        return ""


def _wait(process: "subprocess.Popen[bytes]") -> int:
    """Return the exit status of a process that is interrupted when this one is told to end.

    Interrupted again, or after some time, its whole group is killed. What is left of its group
    when it has ended is told to end: a web server and a daemon whose parent was killed would keep
    the port and the history, and a code server would stay for a minute.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        process.send_signal(signal.SIGINT)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    left = signal.SIGTERM
    try:
        return process.wait()
    except KeyboardInterrupt:
        try:
            return process.wait(_PATIENCE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            left = signal.SIGKILL
            return -signal.SIGINT
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, left)
