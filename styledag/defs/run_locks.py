"""Locks by which other processes see whether the process of a run is still there.

A process's number and start say that too, but not to another container, where numbers differ, nor
once the clock was set. The kernel frees a lock with its process, however that ends.
"""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import dagster as dg

_BEAT_S = 20.0
_SILENT_S = 180.0
"""Not every file system shows a lock to other machines, but each shows when a file was touched."""
_held: set[Path] = set()
_beats: dict[Path, tuple[int, float]] = {}
"""When each file of another machine was touched, and when that was first seen."""


@contextmanager
def run_lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the lock of a run while the block runs; without one where there are no locks."""
    path = _folder(instance) / run_id
    partial = path.with_name(f"{run_id}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = partial.open("w", encoding="utf-8")
    except OSError:
        yield
        return
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(socket.gethostname())
            file.flush()
            partial.rename(path)
        except OSError:
            partial.unlink(missing_ok=True)
            yield
            return
        _held.add(path)
        is_over = Event()
        Thread(target=_beat, args=(path, is_over), name="run-lock", daemon=True).start()
        try:
            yield
        finally:
            is_over.set()
            _held.discard(path)
            # Before the lock is free, so that nobody takes the end of the run for its death.
            path.unlink(missing_ok=True)


def is_left(instance: dg.DagsterInstance, run_id: str) -> bool | None:
    """Return whether the process that held a run's lock is gone; ``None`` if there is no lock."""
    path = _folder(instance) / run_id
    # Opened again in this process, the file would lose its lock when it is closed.
    return False if path in _held else _is_left(path)


def remove_left(instance: dg.DagsterInstance, unfinished: Iterable[str]) -> None:
    """Remove what the locks of runs left that have ended without their process."""
    folder = _folder(instance)
    known = {folder / run_id for run_id in unfinished}
    for path in folder.glob("*") if folder.is_dir() else ():
        if path not in known | _held and _is_left(path):
            path.unlink(missing_ok=True)


def _is_left(path: Path) -> bool | None:
    try:
        with path.open("r+", encoding="utf-8") as file:
            host = file.read()
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                return False if exc.errno in (errno.EACCES, errno.EAGAIN) else None
            touched = path.stat().st_mtime_ns
    except OSError:  # removed at this moment, or another user's
        return None
    return host == socket.gethostname() or _is_silent(path, touched)


def _is_silent(path: Path, touched: int) -> bool:
    """Return whether a file has not been touched for minutes of this process's own time."""
    now = time.monotonic()
    if path not in _beats or _beats[path][0] != touched:
        _beats[path] = touched, now
    return now - _beats[path][1] >= _SILENT_S


def _beat(path: Path, is_over: Event) -> None:
    while not is_over.wait(_BEAT_S):
        try:
            os.utime(path)
        except OSError:
            continue


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.storage_directory()).absolute().with_name("running")
