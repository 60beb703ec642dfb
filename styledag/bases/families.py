"""Families of bases, registered by their own files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from styledag.bases.base import Base


@dataclass(frozen=True)
class Family:
    """How a family is recognised.

    Attributes:
        name: As people call it.
        components: Classes of the parts that its code can load, by the part's name; ``None`` among
            them where a base may lack the part.
        make: Makes the base of a folder.
    """

    name: str
    components: Mapping[str, tuple[str | None, ...]]
    make: Callable[[Path], Base]


FAMILIES: dict[str, Family] = {}
"""Families by the class of their pipeline, filled by :func:`family`."""


_Kind = TypeVar("_Kind", bound=Callable[[Path], Base])


def family(
    name: str, *, pipeline: str, components: Mapping[str, tuple[str | None, ...]]
) -> Callable[[_Kind], _Kind]:
    """Return a decorator that registers a class as the bases of one family.

    Args:
        name: As people call the family.
        pipeline: ``_class_name`` in the ``model_index.json`` of its bases.
        components: Classes of the parts that the code can load, by the part's name there.
    """

    def registered(kind: _Kind) -> _Kind:
        FAMILIES[pipeline] = Family(name, components, kind)
        return kind

    return registered
