"""Which function collects from which source."""

import importlib
from pathlib import Path
from typing import Any, Protocol

from styledag.collect.harvest import Harvest
from styledag.store.workspace import Workspace


class Collector(Protocol):
    """Collects from one kind of source."""

    def __call__(self, source: Any, workspace: Workspace, *, project: Path) -> Harvest:
        """Return the images of a source.

        Args:
            source: Settings whose ``type`` is the collector's.
            workspace: Where bytes are kept and progress is shown.
            project: Folder that the paths in settings are relative to.

        Raises:
            SourceError: If the source cannot be read, or holds no image.
        """


def collector_of(source: Any) -> Collector:
    """Return the function ``collect_TYPE`` of the module of this package that is named so."""
    module = importlib.import_module(f"styledag.collect.{source.type}")
    collector: Collector = getattr(module, f"collect_{source.type}")
    return collector
