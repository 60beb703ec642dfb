"""A style as a component of somebody else's Dagster project, whose ``defs.yaml`` is its file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import dagster as dg
import yaml
from dagster.components import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field

from styledag.defs.assets import graph_assets, graph_checks
from styledag.defs.io_manager import STORE, StyleIOManager
from styledag.defs.materialise import GraphRun
from styledag.defs.partitions import read_partitions
from styledag.defs.placement import Placement
from styledag.defs.resources import COMPUTE, compute_resource, log_progress
from styledag.defs.settings_nodes import style_files_sensor
from styledag.errors import StyledagError, StyleFileError
from styledag.graph.catalogue import Catalogue
from styledag.models.compute import ComputeSettings
from styledag.project import Project
from styledag.style.load import check_style_name
from styledag.style.template import new_style

FILE = "defs.yaml"
IO_MANAGER = "io_manager"


class ScaffoldParams(BaseModel):
    """Options of ``dg scaffold defs styledag.StyleComponent``."""

    base: str = Field("sd15", description="Base to fine-tune, such as starter, sd15 or sdxl.")


class StyleScaffolder(Scaffolder[ScaffoldParams]):
    """Writes a ``defs.yaml`` with a commented style file for a base."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return the class of the options."""
        return ScaffoldParams

    def scaffold(self, request: ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the file.

        Raises:
            StyleFileError: If the folder's name is no style's, there is no template for the base,
                or the file has another component.
        """
        if request.append or request.scaffold_format != "yaml":
            raise StyleFileError("a style needs a defs.yaml of its own: its lines are the style's")
        text = new_style(request.target_path.name, request.params.base)
        text = text[text.index("description:") :]  # what is before it is about a style file
        head = f"type: {request.type_name}\nattributes:\n  style:\n"
        path = request.target_path / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + indent(text, "    "), encoding="utf-8")


@dg.scaffold_with(StyleScaffolder)
class StyleComponent(dg.Component, dg.Resolvable, dg.Model):
    """A visual style: its images, dataset, models, samples, scores and report as assets.

    The style's name is that of the component's folder. Paths in the style are relative to the
    Dagster project.
    """

    # It is read from the file, as a style file is: {% or {# in a prompt is no template.
    style: Annotated[
        Mapping[str, Any],
        dg.Resolver(lambda _context, value: value, description="The style, as in a style file."),
    ]
    key_prefix: str | None = Field(
        default=None, description="Before each asset's key; the style's name when left out."
    )
    group_name: str | None = Field(
        default=None, description="Group of all assets; several by kind of work when left out."
    )
    owners: list[str] = Field(default_factory=list, description="Owners of all assets.")
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of all assets.")
    store: str | None = Field(default=None, description=STORE)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the style's assets and checks, and an IO manager that loads them.

        Executor, pools, schedules and automation are those of the project that it is in.

        Raises:
            StyledagError: If the folder's name is no style's, or it has no file of its own.
        """
        name, file = context.path.name, context.path / FILE
        try:
            check_style_name(name)
        except StyleFileError as exc:
            raise StyledagError(f"{context.path}: rename the folder: {exc}") from exc
        if not file.is_file() or len(list(yaml.compose_all(file.read_text("utf-8")))) != 1:
            raise StyledagError(f"{file} is missing or has a further component: give each its own")
        root = Path(context.project_root)
        project = replace(Project.at(root, self.store), declared_in={name: file})
        placement = Placement(
            key_prefix=tuple((self.key_prefix or name).split("/")),
            group=self.group_name,
            owners=tuple(self.owners),
            tags=self.tags,
            is_own=False,
        )
        graph = GraphRun(Catalogue(project), log_progress, placement=placement)
        partitions = read_partitions(project)
        return dg.Definitions(
            assets=graph_assets(graph, partitions),
            asset_checks=graph_checks(graph, partitions),
            sensors=[style_files_sensor(graph.catalogue, placement)],
            resources={
                placement.named(COMPUTE): compute_resource(ComputeSettings()),
                placement.named(IO_MANAGER): StyleIOManager(
                    project=str(root), store=project.store_url, declared_in={name: str(file)}
                ),
            },
        )
