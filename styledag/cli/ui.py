"""`styledag ui`: the web UI over the project's history, with the demo's wiki beside it."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

import click
from rich.markup import escape

from styledag.cli.context import UI_PORT, Session, pass_session
from styledag.cli.run import DEMO_STYLE
from styledag.errors import StyledagError
from styledag.loopback import LOOPBACK
from styledag.store.files import storage_errors

_PATIENCE_S = 20
"""Seconds that the web UI's processes have to end after Ctrl-C before they are killed."""
_PORTS = 1 << 16
_ADVERTISEMENT = "ignore:Function `dev_command` is superseded"
"""Dagster's own, for a further package; the command stays."""


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, _PORTS - 2),
    default=UI_PORT,
    show_default=True,
    help="Port on the loopback.",
)
@pass_session
def ui(session: Session, port: int) -> None:
    """Open the web UI on the project's history until interrupted.

    Contact sheets, reports and grids that it links to are served on the next port. New styles,
    recipes and weights appear by themselves.
    """
    from styledag.cli.reloading import reloading
    from styledag.defs.opened_history import open_history, risky_settings

    root = session.project.workspace.parent
    os.chdir(root)
    url = f"http://{LOOPBACK}:{port}"
    _require_port(LOOPBACK, port)
    with ExitStack() as stack:
        # Opening the history ends runs whose process is gone.
        instance = stack.enter_context(open_history(root))
        lock = stack.enter_context(only_ui(Path(instance.storage_directory()).parent))
        for sentence in risky_settings(instance):
            session.console.print(escape(sentence))
        if (session.project.styles_folder / f"{DEMO_STYLE}.yaml").is_file():
            _serve_demo_wiki(session, stack)
        pages = _serve_pages(session, stack, port + 1)
        command = [sys.executable, "-W", _ADVERTISEMENT, "-m", "dagster", "dev"]
        command += ["--host", LOOPBACK, "--port", str(port)]
        environment = {"DAGSTER_HOME": str(root)} | os.environ | {"STYLEDAG_PAGES": pages}
        stack.enter_context(reloading(session.project, url))
        # In a group of its own, so that Ctrl-C reaches it once: through this process. It keeps the
        # lock, as it would go on for itself if this process were killed.
        process = subprocess.Popen(
            command,
            env=environment | _safe_path(environment, root),
            process_group=0,
            pass_fds=[lock.fileno()],
        )
        lock.write(f"at {url}, in process {process.pid}")
        lock.flush()
        status = _wait(process)
    if status not in (0, -signal.SIGINT, -signal.SIGTERM):
        raise StyledagError(
            f"the web UI ended with status {status}: its output above has the reason"
        )


def _require_port(host: str, port: int) -> None:
    """Check that a port is free: on one that is not, Dagster would stay, and serve nothing."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            reason = os.strerror(exc.errno) if exc.errno else exc
            raise StyledagError(
                f"port {port} of {host} cannot be used: {reason}; `styledag ui --port` takes "
                "another"
            ) from exc


@contextmanager
def only_ui(folder: Path) -> Iterator[IO[str]]:
    """Hold the lock of the web UI on a history, and yield its file, which is to say where it is.

    Two would run each schedule and each queued run twice.

    Raises:
        StyledagError: If there is one already.
    """
    with storage_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "ui.lock").open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            file.seek(0)
            raise StyledagError(
                f"the web UI on this history is open already, {file.read() or 'a moment ago'}: "
                "use that one, or end it first"
            ) from exc
        except OSError:  # a file system without locks
            pass
        file.truncate(0)
        yield file


def _safe_path(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return variables by which no module of the project's folder is taken for another's.

    A ``random.py`` or ``datasets.py`` beside ``dagster.yaml`` would be imported in place of the
    one that is meant, as Dagster starts its processes by ``python -m`` there.
    """
    safe = {"PYTHONSAFEPATH": "1"}
    if paths := environment.get("PYTHONPATH"):
        # Dagster removes what it takes for the script's folder: the first (its issue 29906).
        safe["PYTHONPATH"] = os.pathsep.join([str(root / "data" / "styles"), paths])
    return safe


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

    try:
        return stack.enter_context(serve_pages(session.catalogue.store, port=port))
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
            process.wait(_PATIENCE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            left = signal.SIGKILL
        return -signal.SIGINT
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, left)
