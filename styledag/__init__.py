"""styledag turns a visual style, declared in one YAML file, into a text-to-image model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from styledag.defs.component import StyleComponent
    from styledag.defs.io_manager import StyleIOManager
    from styledag.graph.loading import load

__all__ = ["StyleComponent", "StyleIOManager", "__version__", "load"]
__version__ = "0.1.0"

_HOMES = {
    "StyleComponent": "styledag.defs.component",
    "StyleIOManager": "styledag.defs.io_manager",
    "load": "styledag.graph.loading",
}
"""Where each public name is; imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
