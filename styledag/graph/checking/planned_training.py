"""What is known of a model's training before it runs: images that are there, or assumed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.store.artifact import Artifact

if TYPE_CHECKING:
    from styledag.bases.latents import LatentSpace, LatentsShape
    from styledag.models.compute import Compute
    from styledag.training.estimating.estimate import PlannedTraining

ASSUMED_IMAGES = 800
"""Images of a style of which nothing has been collected yet."""
ASSUMED = "assumed, since nothing has been collected"
"""Where their number is from."""


def planned_training(
    catalogue: Catalogue, model: Partition, compute: "Compute"
) -> tuple["PlannedTraining", str]:
    """Return a model's training, and where the number of its images is from.

    The newest asset on the way to training counts: the encoded dataset, a dataset that was not
    encoded yet, or images that are collected already. With none of them, :data:`ASSUMED_IMAGES` are
    assumed.

    Raises:
        StyleFileError: If the style or the recipe is missing.
        ModelError: If the base's configurations cannot be had.
        TrainingError: If the dtype is none to train in.
    """
    from styledag.training.estimating.estimate import PlannedTraining
    from styledag.training.weights.pass_dtype import in_pass_dtype

    declared = catalogue.declaration(model)
    style, recipe = declared.style, declared.recipe
    base = catalogue.base(style.base)
    facts, source = _facts(catalogue, model)
    train, validation = counted_images(catalogue, model)
    planned = PlannedTraining(
        base=base.folder,
        recipe=recipe,
        compute=in_pass_dtype(compute, recipe),
        latents=_latents(base.latents, style.images.size_px, facts, train),
        validation=validation,
        captions=int(facts.get("captions", train + validation)),
    )
    return planned, source


def counted_images(catalogue: Catalogue, model: Partition) -> tuple[int, int]:
    """Return how many images a model will be trained on, and how many are held out.

    Raises:
        StyleFileError: If the style is missing.
    """
    facts, _ = _facts(catalogue, model)
    return _split(facts, catalogue.style(model.style).dataset.validation_share)


def _facts(catalogue: Catalogue, model: Partition) -> tuple[Mapping[str, Any], str]:
    for asset, partition in (
        ("encoded_dataset", model.stored_as),
        ("image_dataset", model.style),
        ("curated_images", model.style),
        ("jpeg_images", model.style),
        ("raw_images", model.style),
    ):
        artifact = catalogue.store.current(asset, partition)
        if artifact is not None and _images(artifact.facts) and not _is_former(catalogue, artifact):
            return artifact.facts, f"as counted in {asset}"
    return {"kept": ASSUMED_IMAGES}, ASSUMED


def _is_former(catalogue: Catalogue, artifact: Artifact) -> bool:
    """Return whether what was encoded is another dataset than the newest."""
    read = next((each for each in artifact.build.inputs if each.name == "image_dataset"), None)
    if read is None:
        return False
    newest = catalogue.store.current(read.name, read.partition)
    return newest is not None and newest.version != read.version


def _images(facts: Mapping[str, Any]) -> int:
    return int(facts.get("train", facts.get("kept", 0)))


def _split(facts: Mapping[str, Any], validation_share: float) -> tuple[int, int]:
    if "train" in facts:
        return int(facts["train"]), int(facts.get("validation", 0))
    validation = round(_images(facts) * validation_share)
    return max(1, _images(facts) - validation), validation


def _latents(
    space: "LatentSpace", size_px: int, facts: Mapping[str, Any], train: int
) -> dict["LatentsShape", int]:
    """Return the shapes of latents: those of the buckets that are known, else the square's."""
    buckets = facts.get("buckets") or {f"{size_px}x{size_px}": train}
    total = sum(buckets.values())
    shapes: dict[LatentsShape, int] = {}
    for bucket, count in buckets.items():
        width_px, height_px = (int(side) for side in bucket.split("x"))
        shape = space.shape(width_px=width_px, height_px=height_px)
        shapes[shape] = shapes.get(shape, 0) + max(1, round(train * count / total))
    return shapes
