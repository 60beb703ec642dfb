"""The graph's partitions, from the style files that are there when the code location loads."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from styledag.errors import StyleFileError
from styledag.graph.catalogue import partitions_of
from styledag.graph.names import Grain, Partition
from styledag.graph.stage import Declaration, Reads, Stage
from styledag.project import Project
from styledag.style.load import load_style
from styledag.style.model import STYLE_NAME, Style

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Partitions:
    """What each grain's partitions are, and how those of two grains belong together.

    Attributes:
        declared: Partitions by grain. Styles whose file is broken are there, so that their error
            is seen, but have no models.
        styles: The styles by name, but for broken ones.
    """

    declared: Mapping[Grain, tuple[Partition, ...]]
    styles: Mapping[str, Style]

    def of(self, stage: Stage) -> tuple[Partition, ...]:
        """Return the partitions of a stage: those of its grain that style files ask for."""
        return tuple(
            each
            for each in self.declared[stage.grain]
            if each.style not in self.styles
            or stage.is_asked_for(Declaration(self.styles[each.style], each))
        )

    def definition(self, stage: Stage) -> dg.StaticPartitionsDefinition:
        """Return Dagster's definition of a stage's partitions."""
        return dg.StaticPartitionsDefinition([each.key for each in self.of(stage)])

    def mapping(
        self, upstream: Stage, downstream: Stage, reads: Reads
    ) -> dg.PartitionMapping | None:
        """Return how an upstream stage maps to another; ``None`` where both are the same."""
        sources, targets = self.of(upstream), self.of(downstream)
        if sources == targets:
            return None
        same_grain = upstream.grain == downstream.grain
        further = {
            target: reads.further(Declaration(self.styles[target.style], target))
            for target in targets
            if target.style in self.styles
        }
        mapped: dict[str, list[str]] = {source.key: [] for source in sources}
        of_style: dict[str, list[Partition]] = {}
        for source in sources:
            of_style.setdefault(source.style, []).append(source)
        for target in targets:
            read = [
                source
                for source in of_style.get(target.style, ())
                if (source == target if same_grain else source.belongs_with(target))
            ]
            for source in {*read, *further.get(target, ())}:
                if source.key in mapped:
                    mapped[source.key].append(target.key)
        return dg.StaticPartitionMapping(mapped)


def read_partitions(project: Project) -> Partitions:
    """Return the partitions that a project's style files declare.

    A style file that cannot be read keeps its own key and declares no model. One whose name cannot
    be a style's has none, as it could not be a partition's key. Neither disturbs another.
    """
    styles: list[Partition] = []
    models: list[Partition] = []
    parts: dict[Grain, list[Partition]] = {"checkpoint": [], "blend": []}
    read: dict[str, Style] = {}
    for name, path in project.style_paths.items():
        if not re.search(STYLE_NAME, name):
            log.warning("%s.yaml is left out: its name must match %s", name, STYLE_NAME)
            continue
        styles.append(Partition(name))
        style = _readable(name, path)
        if style is None:
            continue
        read[name] = style
        for model in partitions_of(style, Partition(name), "model"):
            models.append(model)
            for grain, known in parts.items():
                known += partitions_of(style, model, grain)
    return Partitions(
        {
            "style": tuple(styles),
            "model": tuple(models),
            **{grain: tuple(known) for grain, known in parts.items()},
        },
        read,
    )


def _readable(name: str, path: Path) -> Style | None:
    try:
        return load_style(path)
    except StyleFileError as exc:
        log.warning("style %s is left out until its file is mended:\n%s", name, exc)
        return None
