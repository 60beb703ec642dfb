"""Has the running web UI load the code location anew once style files declare other partitions."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread

import requests

from styledag.project import Project

log = logging.getLogger(__name__)

_INTERVAL_S = 2.0
_TIMEOUT_S = 120.0
_RELOAD = "mutation { reloadWorkspace { __typename ... on PythonError { message } } }"

Declared = Mapping[str, tuple[str, ...]]
"""What a code location knows of each style: its partitions by asset, and its schedule."""


@contextmanager
def reloading(project: Project, url: str, *, interval_s: float = _INTERVAL_S) -> Iterator[None]:
    """Watch a project's style files until the block ends.

    A new style, weight or recipe is a new partition, which Dagster knows once the code location is
    loaded again; a changed prompt or rate is none. A file that cannot be read, as one that is half
    saved, changes nothing until it is mended.
    """
    stop = Event()
    watch = Thread(target=_watch, args=(project, url, interval_s, stop), daemon=True)
    watch.start()
    try:
        yield
    finally:
        stop.set()


def _watch(project: Project, url: str, interval_s: float, stop: Event) -> None:
    written = _written(project)
    loaded = looked_at = _declared(project, {})
    while not stop.wait(interval_s):
        before, written = written, _written(project)
        if written != before:
            looked_at = _declared(project, looked_at)
        elif looked_at != loaded and _reload(url):
            loaded = looked_at


def _written(project: Project) -> dict[str, tuple[int, int]]:
    written = {}
    for name, path in project.style_paths.items():
        try:
            stat = path.stat()
        except OSError:  # removed at this moment
            continue
        # Emptied and filled again within one tick of the clock, a file changes its size alone.
        written[name] = stat.st_mtime_ns, stat.st_size
    return written


def _declared(project: Project, before: Declared) -> Declared:
    from styledag.defs.partitions import read_partitions
    from styledag.graph.catalogue import Catalogue

    partitions = read_partitions(project)
    found: dict[str, list[str]] = {each.style: [] for each in partitions.declared["style"]}
    for stage in Catalogue(project).stages.values():
        for each in partitions.of(stage):
            found[each.style].append(f"{stage.name} {each.key}")
    for name, style in partitions.styles.items():
        found[name].append(f"refresh {style.refresh}")
    return {
        name: tuple(each) if name in partitions.styles else before.get(name, ())
        for name, each in found.items()
    }


def _reload(url: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy stands before the loopback
            answer = session.post(f"{url}/graphql", json={"query": _RELOAD}, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        reloaded = answer.json()["data"]["reloadWorkspace"]
    except (requests.RequestException, ValueError, KeyError, TypeError) as exc:
        log.debug("the web UI does not answer yet: %s", exc)
        return False
    if "message" in reloaded:
        log.warning("the web UI cannot load the style files: %s", reloaded["message"])
    return True
