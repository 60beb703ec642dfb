"""All assets and resources of one project, wired together."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg

from styledag.defs.decoder_assets import decoder_assets
from styledag.defs.image_assets import image_assets
from styledag.defs.materialise import GraphRun, OnBuilt, tell_nobody
from styledag.defs.model_assets import model_assets
from styledag.defs.partitions import read_partitions
from styledag.defs.resources import ComputeResource, ProgressOf, log_progress
from styledag.graph.graph import Graph
from styledag.models.compute import ComputeSettings
from styledag.project import Project


def build_definitions(
    project: Project,
    *,
    progress_of: ProgressOf = log_progress,
    on_built: OnBuilt = tell_nobody,
    compute: ComputeSettings | None = None,
) -> dg.Definitions:
    """Return the graph of a project.

    Args:
        project: Where the style files and the store are.
        progress_of: Who shows each materialisation's progress; the run's log unless named.
        on_built: Told of each artifact as soon as it is there.
        compute: Device and dtype; found out at run time unless named.
    """
    partitions = read_partitions(project)
    assets: Sequence[dg.AssetsDefinition] = [
        *image_assets(partitions),
        *model_assets(partitions),
        *decoder_assets(partitions),
    ]
    return dg.Definitions(
        assets=_with_code_references(assets),
        resources={
            "graph": GraphRun(Graph(project), progress_of, on_built),
            "compute": ComputeResource(**asdict(compute or ComputeSettings())),
        },
        # One process for a run: torch and the models are loaded once, and the GPU is not shared.
        executor=dg.in_process_executor,
    )


def _with_code_references(
    assets: Sequence[dg.AssetsDefinition],
) -> Sequence[dg.AssetsDefinition]:
    """Let the web UI link each asset to its source; the feature warns that it is in beta."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return [
            asset
            for asset in dg.with_source_code_references(assets)
            if isinstance(asset, dg.AssetsDefinition)
        ]
