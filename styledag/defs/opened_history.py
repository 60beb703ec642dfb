"""Dagster's records of a project: opened, and what keeps them from being opened, in a sentence."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import dagster as dg
from dagster._config.errors import PostProcessingError
from dagster._core.instance.ref import InstanceRef
from dagster_shared.check import CheckError
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from yaml import YAMLError

from styledag.defs.run_processes import end_dead_runs
from styledag.errors import HistoryError
from styledag.project import MARK
from styledag.store.files import storage_errors

_UNCAPTURED = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}
"""Runs in a terminal keep their output there: captured, no bar would move."""
POOLS = frozenset(("gpu",))
"""Pools of the stages that compute."""
_MOVE = "it is damaged: move it away; the next run finds all artifacts in the store"
_MIGRATE = "it is another version's: `dagster instance migrate` brings it up to date"
_REMEDIES = {
    "malformed": _MOVE,
    "not a database": _MOVE,
    "no such column": _MIGRATE,
    "no such table": _MIGRATE,
}
_LONGEST = 400
"""Characters of Dagster's own text, which goes on with every key that there is."""
_KEPT_OPEN = 16
"""Files of SQLite at most: that of runs, that of all events, and those of single runs' events."""


@contextmanager
def open_history(root: Path) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's records: those of ``DAGSTER_HOME``, else those of the project.

    Runs whose process is gone (killed, or lost to a power cut) are marked as failed, and the
    pools that they held are set free.

    Raises:
        HistoryError: If the records cannot be read or written, now or while the block runs, or
            ``DAGSTER_HOME`` names no folder.
    """
    home = _home(root)
    with _history_errors(home):
        with storage_errors(str(home)), _settings_errors(home / MARK):
            reference = InstanceRef.from_dir(str(home), overrides=_UNCAPTURED)
            instance = dg.DagsterInstance.from_ref(reference)
        with _kept_open(), instance:
            end_dead_runs(instance)
            yield instance


@contextmanager
def _kept_open() -> Iterator[None]:
    """Keep SQLite's files open that Dagster opens and closes several times for each event.

    The last one to close a file moves all of its log into it and removes the log; and each commit
    waits for the disk. In a log (WAL), where only its move must wait, a power cut loses the latest
    events at most, and no artifact.
    """
    with ExitStack() as kept:
        files: set[str] = set()

        def keep(connection: object, _: object) -> None:
            if not isinstance(connection, sqlite3.Connection):
                return
            with suppress(sqlite3.Error):  # Dagster's own statements meet it too
                connection.execute("PRAGMA synchronous = NORMAL")
                for _, _, file in connection.execute("PRAGMA database_list"):
                    if file and file not in files and len(files) < _KEPT_OPEN:
                        files.add(file)
                        own = sqlite3.connect(file, check_same_thread=False)
                        kept.enter_context(closing(own))
                        own.execute("PRAGMA schema_version")

        event.listen(Engine, "connect", keep)
        kept.callback(event.remove, Engine, "connect", keep)
        yield


@contextmanager
def _history_errors(home: Path) -> Iterator[None]:
    """Turn errors of the database into one that says what to do.

    Raises:
        HistoryError: In place of any error of SQLAlchemy, and what a storage makes of one.
    """
    try:
        yield
    except Exception as exc:
        found = next((each for each in _causes(exc) if isinstance(each, SQLAlchemyError)), None)
        if found is None:
            raise
        reason = str(getattr(found, "orig", None) or found).partition("\n")[0]
        remedies = (remedy for sign, remedy in _REMEDIES.items() if sign in reason)
        remedy = next(remedies, "run again once that is mended")
        raise HistoryError(
            f"Dagster's history, by {home / MARK}, cannot be used: {reason}; {remedy}"
        ) from exc


@contextmanager
def _settings_errors(file: Path) -> Iterator[None]:
    """Turn what Dagster raises about a ``dagster.yaml`` into one sentence.

    Raises:
        HistoryError: In place of any such error.
    """
    try:
        yield
    except dg.DagsterInvalidConfigError as exc:
        stated = " ".join(each.message for each in exc.errors)
        raise HistoryError(f"{file} cannot be used: {_shortened(stated)}") from exc
    except (dg.DagsterError, PostProcessingError, CheckError, YAMLError, ImportError) as exc:
        raise HistoryError(f"{file} cannot be used: {_shortened(str(exc))}") from exc


def _shortened(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    while exc is not None:
        yield exc
        exc = exc.__cause__


def risky_settings(instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield a sentence for each setting of the history that a project's has and this has not."""
    of = Path(instance.root_directory) / MARK
    storage, pools = instance.event_log_storage, instance.get_concurrency_config().pool_config
    limited = {each.name for each in storage.get_pool_limits()}
    if pools.default_pool_limit is None and not limited >= POOLS:
        yield (
            f"{of} has no concurrency.pools.default_limit: several stages may compute on one GPU "
            "at a time"
        )
    with _settings_errors(of):
        launcher = instance.run_launcher
    if not (instance.run_monitoring_enabled and launcher.supports_check_run_worker_health):
        yield (
            f"{of} has no run_monitoring, or a run_launcher that it cannot ask: a run that is "
            "killed keeps the pool until `styledag ui` starts again"
        )


def _home(root: Path) -> Path:
    named = os.environ.get("DAGSTER_HOME")
    if not named:
        return root
    home = Path(named).expanduser()
    if not home.is_absolute() or not home.is_dir():
        raise HistoryError(
            f"DAGSTER_HOME is {named!r}: expected the full path of a folder that is there; unset "
            f"it, and the history is this project's, by {root / MARK}"
        )
    return home
