"""The weights of a denoiser: their version, and how they are loaded into a base."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from styledag.sampling.frozen_parts import FrozenParts


@dataclass(frozen=True)
class Weights:
    """The weights of a denoiser.

    Attributes:
        version: Version of their values.
        load: Returns the base's denoiser with these weights. It is for one use at a time: weights
            of a sweep share one denoiser, which holds those that were loaded last.
    """

    version: str
    load: "Callable[[FrozenParts], Any]"

    @classmethod
    def stored(cls, version: str, folder: Path | None) -> "Weights":
        """Return the weights that a folder contains; the base's own for ``None``."""
        return cls(version, lambda parts: parts.denoiser(folder))

    @classmethod
    def lent(cls, version: str, lend: Callable[[], AbstractContextManager[Path]]) -> "Weights":
        """Return weights whose folder is there only as long as they are loaded."""

        def load(parts: "FrozenParts") -> Any:
            with lend() as folder:
                return parts.denoiser(folder)

        return cls(version, load)
