"""The graph's partitions, from the style files that are there when the code location loads."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from styledag.errors import StyleFileError
from styledag.graph.blends import blends_of
from styledag.graph.names import ModelName
from styledag.project import Project
from styledag.style.load import load_style, style_paths
from styledag.style.model import Style

log = logging.getLogger(__name__)

EPOCH_DIMENSION = "epoch"
MODEL_DIMENSION = "model"
WEIGHT_DIMENSION = "weight"


@dataclass(frozen=True)
class Partitions:
    """Partition definitions and how a style maps to its models.

    Attributes:
        styles: One key a style file, broken ones included, so that their error can be seen.
        models: ``style.recipe``.
        checkpoints: ``epoch`` (added while training runs) by ``model``.
        blends: ``model`` by ``weight``: a share of the fine-tune, such as ``0.25``, or all of it
            in an average of another length, such as ``ema-0.150``. A model has those that its
            style and recipe declare; lengths are for recipes that keep power-function averages.
        style_to_models: From a style to the models that it declares.
    """

    styles: dg.StaticPartitionsDefinition
    models: dg.StaticPartitionsDefinition
    checkpoints: dg.MultiPartitionsDefinition
    blends: dg.MultiPartitionsDefinition
    style_to_models: dg.StaticPartitionMapping


def read_partitions(project: Project) -> Partitions:
    """Return the partitions that a project's style files declare.

    A style file that cannot be read keeps its own key and declares no model; it disturbs no other.
    """
    declared = _readable_styles(project)
    model_keys = {
        name: [str(ModelName(name, recipe)) for recipe in style.recipes]
        for name, style in declared.items()
    }
    blends = {
        blend.key
        for style in declared.values()
        for recipe in style.recipes
        for blend in blends_of(style, recipe)
    }
    styles = dg.StaticPartitionsDefinition(list(style_paths(project.styles_folder)))
    models = dg.StaticPartitionsDefinition([key for keys in model_keys.values() for key in keys])
    return Partitions(
        styles=styles,
        models=models,
        checkpoints=dg.MultiPartitionsDefinition(
            {
                EPOCH_DIMENSION: dg.DynamicPartitionsDefinition(name=EPOCH_DIMENSION),
                MODEL_DIMENSION: models,
            }
        ),
        blends=dg.MultiPartitionsDefinition(
            {
                MODEL_DIMENSION: models,
                WEIGHT_DIMENSION: dg.StaticPartitionsDefinition(sorted(blends)),
            }
        ),
        style_to_models=dg.StaticPartitionMapping(model_keys),
    )


def checkpoint_key(model: ModelName, epoch: str) -> dg.MultiPartitionKey:
    """Return Dagster's key of one checkpoint."""
    return dg.MultiPartitionKey({EPOCH_DIMENSION: epoch, MODEL_DIMENSION: str(model)})


def blend_key(model: ModelName, blend: str) -> dg.MultiPartitionKey:
    """Return Dagster's key of one blend."""
    return dg.MultiPartitionKey({MODEL_DIMENSION: str(model), WEIGHT_DIMENSION: blend})


def model_and_key(context: dg.AssetExecutionContext, dimension: str) -> tuple[ModelName, str]:
    """Return the model, and the key of the other dimension, that a run materialises."""
    key = context.partition_key
    if not isinstance(key, dg.MultiPartitionKey):
        raise TypeError(f"{context.asset_key.to_user_string()} needs two partition dimensions")
    by_dimension = key.keys_by_dimension
    return ModelName.parse(by_dimension[MODEL_DIMENSION]), by_dimension[dimension]


def _readable_styles(project: Project) -> Mapping[str, Style]:
    readable = {}
    for name, path in style_paths(project.styles_folder).items():
        try:
            readable[name] = load_style(path)
        except StyleFileError as exc:
            log.warning("style %s is left out until its file is mended:\n%s", name, exc)
    return readable
