"""The graph's partitions, from the style files that are there when the code location loads."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from styledag.errors import StyleFileError
from styledag.graph.catalogue import partitions_of
from styledag.graph.names import Grain, Partition
from styledag.project import Project
from styledag.style.load import load_style, style_paths
from styledag.style.model import STYLE_NAME, Style

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Partitions:
    """What each grain's partitions are, and how those of two grains belong together.

    Attributes:
        declared: Partitions by grain. Styles whose file is broken are there, so that their error
            is seen, but have no models.
    """

    declared: Mapping[Grain, tuple[Partition, ...]]

    @cached_property
    def definitions(self) -> Mapping[Grain, dg.StaticPartitionsDefinition]:
        """Dagster's definition of each grain."""
        return {
            grain: dg.StaticPartitionsDefinition([each.key for each in partitions])
            for grain, partitions in self.declared.items()
        }

    def mapping(self, upstream: Grain, downstream: Grain) -> dg.PartitionMapping | None:
        """Return how an upstream grain maps to another; ``None`` where both are the same."""
        if upstream == downstream:
            return None
        return dg.StaticPartitionMapping(
            {
                source.key: [
                    target.key
                    for target in self.declared[downstream]
                    if source.belongs_with(target)
                ]
                for source in self.declared[upstream]
            }
        )


def read_partitions(project: Project) -> Partitions:
    """Return the partitions that a project's style files declare.

    A style file that cannot be read keeps its own key and declares no model. One whose name cannot
    be a style's has none, as it could not be a partition's key. Neither disturbs another.
    """
    styles: list[Partition] = []
    models: list[Partition] = []
    parts: dict[Grain, list[Partition]] = {"checkpoint": [], "blend": []}
    for name in style_paths(project.styles_folder):
        if not re.search(STYLE_NAME, name):
            log.warning("%s.yaml is left out: its name must match %s", name, STYLE_NAME)
            continue
        styles.append(Partition(name))
        style = _readable(project, name)
        if style is None:
            continue
        for model in partitions_of(style, Partition(name), "model"):
            models.append(model)
            for grain, known in parts.items():
                known += partitions_of(style, model, grain)
    return Partitions(
        {
            "style": tuple(styles),
            "model": tuple(models),
            **{grain: tuple(known) for grain, known in parts.items()},
        }
    )


def _readable(project: Project, name: str) -> Style | None:
    try:
        return load_style(style_paths(project.styles_folder)[name])
    except StyleFileError as exc:
        log.warning("style %s is left out until its file is mended:\n%s", name, exc)
        return None
