"""What the graph made, as the objects that other people's code works with."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.pipeline import dtype_named, load_pipeline
from styledag.graph.catalogue import Catalogue
from styledag.graph.exported_dataset import DATASET, find_dataset
from styledag.graph.exports.exported_model import own_parts
from styledag.graph.find_exportable import find_exportable
from styledag.graph.tracing.ancestry import find_artifact
from styledag.project import Project
from styledag.publishing.pipeline_folder import link_pipeline
from styledag.store.artifact import Artifact

if TYPE_CHECKING:
    import torch

MODELS = frozenset({"ema_unet", "checkpoint", "merged_unet"})
"""Assets that are a model."""


def load(
    name: str,
    *,
    project: str | Path = ".",
    store: str | None = None,
    dtype: "str | torch.dtype" = "float32",
) -> Any:
    """Return a model as a ``DiffusionPipeline`` on the CPU, or a style's ``DatasetDict``.

    Args:
        name: ``twemoji`` for the dataset; for models ``twemoji.full``, one of its checkpoints as
            ``twemoji.full@8`` or ``twemoji.full@e008``, one of its blends as ``twemoji.full:0.5``.
        project: A folder in the project.
        store: Folder or fsspec URL of the store; ``STYLEDAG_STORE`` or the project's when left out.
        dtype: Of a model's weights: ``float16``, ``fp16`` or ``torch.float16``, and the like.

    Raises:
        StyledagError: If there is no such project, name or dtype, or it was never made.
    """
    dtype = dtype_named(dtype)
    store_url = store or os.environ.get("STYLEDAG_STORE")
    catalogue = Catalogue(Project.find(Path(project).resolve(), store_url))
    return load_artifact(catalogue, find_loadable(catalogue, name), dtype)


def find_loadable(catalogue: Catalogue, name: str) -> Artifact:
    """Return the current artifact that a name stands for.

    Raises:
        LineageError: If the name has another form.
        ArtifactMissingError: If it was never made.
    """
    if "." in name:
        return find_artifact(catalogue.store, name)
    return find_dataset(catalogue.store, name)


def load_artifact(catalogue: Catalogue, artifact: Artifact, dtype: str = "float32") -> Any:
    """Return a model as a pipeline on the CPU, a dataset as a ``DatasetDict``, else the folder.

    Raises:
        ModelError: If a model's base is damaged or not there.
        LineageError: If the style file no longer names the base that a model was made from.
    """
    if artifact.asset in MODELS:
        return _pipeline(catalogue, artifact, dtype)
    if artifact.asset == DATASET:
        import datasets

        return datasets.load_dataset(str(artifact.folder))
    return artifact.folder


def _pipeline(catalogue: Catalogue, model: Artifact, dtype: str) -> Any:
    source = find_exportable(catalogue, model, "diffusers")
    with own_parts(source) as replaced, tempfile.TemporaryDirectory() as folder:
        link_pipeline(source.base, Path(folder), replaced=replaced)
        return load_pipeline(Path(folder), dtype)
