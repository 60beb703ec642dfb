"""What a stage is given to work with, and all that it may write to."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from styledag.progress import Progress, SilentProgress
from styledag.store.blobs import Blobs
from styledag.store.items import Items

LOOKING = frozenset(("questions", "pages"))
"""The kinds of work that only find out whether there is anything new: few APIs and few sites'
pages can be asked for conditionally."""


@dataclass(frozen=True)
class Workspace:
    """One build of one artifact.

    Attributes:
        folder: Empty local folder; what lies in it when the stage returns is the artifact.
            Files below ``folder / "log"`` are kept beside it, but are no part of its version.
        scratch: Local folder that survives a kill and is found again by the next try of the same
            build; removed once the artifact is published.
        blobs: Images by their sha256.
        items: Results by item, over builds and styles.
        progress: Who shows how far the stage is.
        work: What was really done, by kind (``downloads``, ``decodes``, ``captions``, ...). A
            build that found everything done leaves it empty, :data:`LOOKING` apart.
        kept: Local folder that outlives this build, for what a later build of the same partition
            may continue from; it may be removed at any time while nothing is built.
    """

    folder: Path
    scratch: Path
    blobs: Blobs
    items: Items
    progress: Progress = field(default_factory=SilentProgress)
    work: Counter[str] = field(default_factory=Counter)
    kept: Path | None = None
