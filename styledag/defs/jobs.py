"""Jobs by name, for those who start or schedule a part of the graph themselves."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Grain
from styledag.graph.stage import Stage

REFRESH = "refresh"
"""Name of the job that asks the sources of a style for news."""


@dataclass(frozen=True)
class Part:
    """A part of the graph that is run at once: stages of one grain, as a run has one partition.

    Attributes:
        description: For a reader of the web UI.
        optional: Whether it is of stages that not every style asks for: their partitions are fewer
            than those of the others, so that no job can have both.
    """

    description: str
    grain: Grain
    groups: frozenset[str]
    optional: bool = False


PARTS = {
    "data": Part(
        "Collect images, caption them, build the dataset.", "style", frozenset({"images"})
    ),
    "train": Part("Encode the dataset and fine-tune.", "model", frozenset({"training", "blends"})),
    "draw_sweep": Part(
        "Draw more weights than are stored.", "model", frozenset({"blends"}), optional=True
    ),
    "blend_parts": Part(
        "Blend text encoders and autoencoders.", "blend", frozenset({"blends"}), optional=True
    ),
    "draw": Part("Blend, and draw samples.", "blend", frozenset({"blends"})),
    "show": Part("Score the model and write its report.", "model", frozenset({"results"})),
    "publish_data": Part("Publish the dataset.", "style", frozenset({"publishing"}), optional=True),
    "publish": Part("Publish the model.", "model", frozenset({"publishing"}), optional=True),
}
"""By name of the job, in the order in which the jobs follow one another."""


def graph_jobs(catalogue: Catalogue) -> list[UnresolvedAssetJobDefinition]:
    """Return a job for each part of the graph, and the one that asks sources for news."""
    runnable = [
        each for each in catalogue.stages.values() if each.name not in catalogue.publisher_of
    ]
    jobs = [
        _job(
            name,
            part.description,
            (
                each
                for each in runnable
                if each.grain == part.grain
                and each.group in part.groups
                and each.is_optional == part.optional
            ),
        )
        for name, part in PARTS.items()
    ]
    outside = (each for each in runnable if each.depends_on_outside)
    return [*jobs, _job(REFRESH, "Ask the sources of a style for news.", outside)]


def _job(name: str, description: str, stages: Iterator[Stage]) -> UnresolvedAssetJobDefinition:
    selection = dg.AssetSelection.assets(*(stage.name for stage in stages))
    return dg.define_asset_job(name, selection, description=description)
