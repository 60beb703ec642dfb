"""Lets assets of other people's code read what the graph made."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import dagster as dg
from pydantic import Field

from styledag.graph.catalogue import Catalogue
from styledag.graph.loading import load_artifact
from styledag.graph.names import Partition
from styledag.project import Project
from styledag.store.artifact import Artifact

PROJECT = "Folder of the project: that with dagster.yaml, or of a component's style file."
STORE = "Folder or fsspec URL of the artifact store; data/store in the project when left out."


class StyleIOManager(dg.ConfigurableIOManager):
    """Loads assets of styledag as inputs: models as pipelines, datasets as datasets, else folders.

    Several partitions come as a mapping by partition key. An input that is annotated as
    ``pathlib.Path``, or as a mapping of such, is folders always. It stores nothing: styledag's
    assets are in its own store.
    """

    project: str = Field(description=PROJECT)
    store: str | None = Field(default=None, description=STORE)
    declared_in: dict[str, str] = Field(
        default_factory=dict, description="Files by style, where not those of data/styles."
    )

    def load_input(self, context: dg.InputContext) -> Any:
        """Return the current artifact of an upstream asset, or those of several partitions.

        Raises:
            ArtifactMissingError: If one was never made.
        """
        usual = Project.at(Path(self.project), self.store)
        files = {style: Path(file) for style, file in self.declared_in.items()}
        catalogue = Catalogue(replace(usual, declared_in=files))
        asset = context.asset_key.path[-1]
        annotated = context.dagster_type.typing_type
        is_folder = Path in (annotated, *get_args(annotated))

        def loaded(key: str) -> Any:
            artifact: Artifact = catalogue.store.require(asset, Partition.parse(key).stored_as)
            return artifact.folder if is_folder else load_artifact(catalogue, artifact)

        keys = list(context.asset_partition_keys)
        return loaded(keys[0]) if len(keys) == 1 else {key: loaded(key) for key in keys}

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ARG002
        """Refuse: it stores nothing.

        Raises:
            dagster.DagsterInvariantViolationError: Always.
        """
        raise dg.DagsterInvariantViolationError(
            f"{context.asset_key.to_user_string()}: StyleIOManager only loads what styledag made; "
            "name another io_manager_key for this asset"
        )
