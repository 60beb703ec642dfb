"""The answer to: what was this trained on, with what, and where is each image from?"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styledag.dataset.read import read_dataset
from styledag.errors import LineageError
from styledag.graph.blends import Blend
from styledag.graph.lineage import Ancestor, nearest
from styledag.graph.names import Partition, epoch_key
from styledag.merging.settings import MIXED_NAME
from styledag.store.artifact import Artifact
from styledag.store.store import Store

_NAME = re.compile(
    r"^(?P<model>[^@:]+\.[^@:]+)"
    rf"(?:@e?(?P<epoch>\d+)|:(?P<blend>[01](?:\.\d+)?|ema-0\.\d{{1,3}}|{MIXED_NAME})"
    rf"|@(?P<key>[01]\.\d+|ema-0\.\d{{1,3}}|{MIXED_NAME}))?$"
)


@dataclass(frozen=True)
class LineageStep:
    """One artifact or outside model on the way back to the sources."""

    asset: str
    partition: str
    version: str
    code_version: str


@dataclass(frozen=True)
class TracedImage:
    """One training image and where it came from."""

    sha256: str
    url: str
    page_url: str
    title: str
    licence: str
    author: str
    caption: str
    split: str


@dataclass(frozen=True)
class Lineage:
    """All that an artifact came from.

    Attributes:
        version: sha256 of its content.
        recipe: The recipe that trained it; of a blend of several models each one's, by its name.
        dataset_versions: Versions of each ``image_dataset`` that it saw; several only of such a
            blend.
        steps: Everything on the way back to the sources, nearest first.
        image_count: Number of images in these datasets.
        licences: Images by licence.
        images: Every image, if asked for.
    """

    asset: str
    partition: str
    version: str
    recipe: Mapping[str, Any]
    dataset_versions: tuple[str, ...]
    steps: tuple[LineageStep, ...]
    image_count: int
    licences: Mapping[str, int]
    images: tuple[TracedImage, ...]


def find_artifact(store: Store, name: str) -> Artifact:
    """Return the artifact that ``MODEL``, ``MODEL@EPOCH`` or ``MODEL:BLEND`` names.

    A blend is a weight, such as ``0.5``, a length, such as ``ema-0.15``, or the name of one of
    several models. Partition keys, as the web UI shows them, are names too: ``twemoji.full@e016``,
    ``twemoji.full@0.50``.

    Raises:
        LineageError: If the name has another form.
        ArtifactMissingError: If it was never made.
    """
    match = _NAME.match(name)
    if match is None:
        raise LineageError(
            f"{name!r} names no model: expected STYLE.RECIPE, STYLE.RECIPE@EPOCH or "
            "STYLE.RECIPE:BLEND (a weight, as 0.5, a length, as ema-0.15, or a name)"
        )
    model = Partition.parse(match["model"])
    if match["epoch"]:
        return store.require("checkpoint", model.of(epoch_key(int(match["epoch"]))).stored_as)
    if blend := match["blend"] or match["key"]:
        return store.require("merged_unet", model.of(Blend.parse(blend).key).stored_as)
    return store.require("ema_unet", model.stored_as)


def lineage_of(traced: Sequence[Ancestor], *, images: bool = False) -> Lineage:
    """Return all that an artifact came from, of what :func:`~styledag.graph.lineage.trace` gives.

    Its images are listed if they are asked for.

    Raises:
        LineageError: If it came from no dataset or no recipe.
    """
    artifact, datasets = traced[0].input, datasets_of(traced)
    rows = tuple(row for dataset in datasets for row in traced_images(dataset))
    return Lineage(
        asset=artifact.name,
        partition=artifact.partition,
        version=artifact.version,
        recipe=_recipe(traced),
        dataset_versions=tuple(each.version for each in datasets),
        steps=tuple(
            LineageStep(
                asset=each.input.name,
                partition=each.input.partition,
                version=each.input.version,
                code_version=each.artifact.build.code_version if each.artifact else "",
            )
            for each in traced[1:]
        ),
        image_count=len(rows),
        licences=dict(Counter(each.licence for each in rows).most_common()),
        images=rows if images else (),
    )


def datasets_of(traced: Sequence[Ancestor]) -> tuple[Artifact, ...]:
    """Return the datasets among an artifact and all that it came from, nearest first.

    Raises:
        LineageError: If there is none.
    """
    _ = nearest(traced, "image_dataset")  # there is one at least
    found = (each.artifact for each in traced if each.input.name == "image_dataset")
    return tuple(each for each in found if each is not None)


def traced_images(dataset: Artifact) -> tuple[TracedImage, ...]:
    """Return every image of a dataset and where it came from."""
    return tuple(
        TracedImage(
            sha256=row.id,
            url=row.origin.url,
            page_url=row.origin.page_url,
            title=row.origin.title,
            licence=row.origin.licence,
            author=row.origin.author,
            caption=row.text,
            split=row.split,
        )
        for row in read_dataset(dataset.folder)
    )


def _recipe(traced: Sequence[Ancestor]) -> Mapping[str, Any]:
    recipes: dict[str, Mapping[str, Any]] = {}
    for ancestor in traced:
        if ancestor.artifact is not None and "Recipe" in ancestor.artifact.build.settings:
            model = Partition.from_store(ancestor.input.partition).model_key
            recipes.setdefault(model, ancestor.artifact.build.settings["Recipe"])
    if not recipes:
        first = traced[0].input
        raise LineageError(f"{first.name} of {first.partition} was trained by no recipe")
    return next(iter(recipes.values())) if len(recipes) == 1 else recipes
