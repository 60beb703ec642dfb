"""What the next run of a style would do, and what that costs as far as it is known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.planned_training import counted_images
from styledag.graph.freshness.retraining import MODEL
from styledag.graph.names import Partition
from styledag.graph.status import AssetStatus

Number = TypeVar("Number", int, float)
SecondsOf = Callable[[str, str], float | None]
"""Returns how long an asset's build took last, given its name and its partition's key."""


@dataclass(frozen=True)
class Cost:
    """What the builds of one asset take; ``None`` where nothing tells.

    Attributes:
        partitions: How many of its partitions would be built.
        images: Images that they read; at most as many are fetched, converted, captioned or encoded,
            as what is known of an image is used again.
        size_bytes: Bytes that the versions now there take: another one takes as many.
        seconds: As long as the newest recorded builds took.
    """

    asset: str
    partitions: int
    images: int | None
    steps: int | None
    size_bytes: int | None
    seconds: float | None


def next_run(
    catalogue: Catalogue, statuses: Sequence[AssetStatus], seconds_of: SecondsOf
) -> list[Cost]:
    """Return what a run would build, by asset in the order of the run.

    Sources are asked on every run, whatever their status; that is not counted.
    """
    waiting: dict[str, list[Partition]] = {}
    for each in statuses:
        if each.state in ("outdated", "missing"):
            waiting.setdefault(each.asset, []).append(Partition.parse(each.partition))
    return [
        Cost(
            asset,
            len(partitions),
            _sum([_images_read(catalogue, asset, each) for each in partitions]),
            _sum([_steps(catalogue, each) for each in partitions]) if asset == MODEL else None,
            _sum([_size_bytes(catalogue, asset, each) for each in partitions]),
            _sum([seconds_of(asset, each.key) for each in partitions]),
        )
        for asset, partitions in waiting.items()
    ]


def _sum(counts: Sequence[Number | None]) -> Number | None:
    known = [each for each in counts if each is not None]
    return sum(known) if len(known) == len(counts) else None


def _images_read(catalogue: Catalogue, asset: str, partition: Partition) -> int | None:
    for reads in catalogue.stages[asset].reads:
        if catalogue.stages[reads.asset].grain == "style":
            read = catalogue.store.current(reads.asset, partition.style)
            facts = {} if read is None else read.facts
            if {"kept", "train"} & facts.keys():
                return int(facts.get("kept", facts.get("train", 0) + facts.get("validation", 0)))
    return None


def _steps(catalogue: Catalogue, model: Partition) -> int | None:
    try:
        recipe = catalogue.declaration(model).recipe
        train, _ = counted_images(catalogue, model)
    except StyledagError:
        return None
    return recipe.epochs * math.ceil(train / (recipe.batch_size * recipe.gradient_accumulation))


def _size_bytes(catalogue: Catalogue, asset: str, partition: Partition) -> int | None:
    current = catalogue.store.current(asset, partition.stored_as)
    return None if current is None else sum(catalogue.store.files.sizes(current.name).values())
