"""The registry of sources: which function collects from which settings."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from styledag.collect.harvest import Harvest
from styledag.store.workspace import Workspace


class Collector(Protocol):
    """Collects from one kind of source."""

    def __call__(self, source: Any, workspace: Workspace, *, project: Path) -> Harvest:
        """Return the images of a source.

        Args:
            source: Settings of the class that the collector is registered for.
            workspace: Where bytes are kept and progress is shown.
            project: Folder that the paths in settings are relative to.

        Raises:
            SourceError: If the source cannot be read, or holds no image.
        """


_COLLECTORS: dict[type, Collector] = {}

Function = TypeVar("Function", bound=Callable[..., Harvest])


def collects(settings: type) -> Callable[[Function], Function]:
    """Register a function as the collector of a settings class.

    The class has a ``type`` that names the module of :mod:`styledag.collect` with the function,
    which is imported when a style uses it.
    """

    def register(function: Function) -> Function:
        _COLLECTORS[settings] = function
        return function

    return register


def collector_of(source: Any) -> Collector:
    """Return the function that collects from a source."""
    if type(source) not in _COLLECTORS:
        importlib.import_module(f"styledag.collect.{source.type}")
    return _COLLECTORS[type(source)]
