"""What is there, what is out of date and why, without running anything."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from styledag.errors import ArtifactMissingError, StyledagError
from styledag.graph import decoder_plans, model_plans, style_plans
from styledag.graph.blends import blends_of
from styledag.graph.graph import Graph
from styledag.graph.names import ModelName, model_part
from styledag.graph.plan import Plan
from styledag.store.artifact import Build
from styledag.store.store import Target

MakePlan = Callable[[], Plan]
State = Literal["current", "outdated", "missing", "broken"]

_OF_STYLE = (
    style_plans.plan_style,
    style_plans.plan_raw_images,
    style_plans.plan_jpeg_images,
    style_plans.plan_curated_images,
    style_plans.plan_captions,
    style_plans.plan_image_dataset,
)
_BEFORE_BLENDS = (
    model_plans.plan_encoded_dataset,
    model_plans.plan_ema_unet,
    decoder_plans.plan_vae_decoder,
    decoder_plans.plan_merged_vae,
)
_OF_BLEND = (model_plans.plan_merged_unet, model_plans.plan_sample_grid)
_AFTER_BLENDS = (
    model_plans.plan_evolution,
    model_plans.plan_denoising,
    model_plans.plan_scores,
    model_plans.plan_model_report,
)


@dataclass(frozen=True)
class AssetStatus:
    """One partition of one asset.

    Attributes:
        asset: Asset's name.
        partition: Partition's name in the store.
        state: ``current``; ``outdated`` if the next run would make it anew; ``missing`` if it was
            never made; ``broken`` if its plan cannot be made.
        version: Version that is there, if any.
        why: What is out of date, missing or broken; empty when current.
    """

    asset: str
    partition: str
    state: State
    version: str | None
    why: str = ""


def style_status(graph: Graph, style: str) -> list[AssetStatus]:
    """Return the state of every asset of a style and its models, in the order of the graph.

    Raises:
        StyleFileError: If the style file is missing or broken.
    """
    return [
        _status(graph, asset, partition, make_plan)
        for asset, partition, make_plan in _plans(graph, style)
    ]


def _plans(graph: Graph, style: str) -> Iterator[tuple[str, str, MakePlan]]:
    for plan in _OF_STYLE:
        yield _asset_of(plan), style, partial(plan, graph, style)
    declared = graph.style(style)
    for recipe in declared.recipes:
        model = ModelName(style, recipe)
        for plan_model in _BEFORE_BLENDS:
            yield _asset_of(plan_model), str(model), partial(plan_model, graph, model)
        for plan_blend in _OF_BLEND:
            for blend in blends_of(declared, recipe):
                partition = model_part(model, blend.key)
                yield _asset_of(plan_blend), partition, partial(plan_blend, graph, model, blend)
        for plan_model in _AFTER_BLENDS:
            yield _asset_of(plan_model), str(model), partial(plan_model, graph, model)


def _asset_of(plan_asset: Callable[..., Plan]) -> str:
    return plan_asset.__name__.removeprefix("plan_")


def _status(graph: Graph, asset: str, partition: str, make_plan: Callable[[], Plan]) -> AssetStatus:
    current = graph.store.current(asset, partition)
    version = None if current is None else current.version
    try:
        target = make_plan().target
    except ArtifactMissingError as exc:
        return AssetStatus(asset, partition, "missing", version, str(exc))
    except StyledagError as exc:
        return AssetStatus(asset, partition, "broken", version, str(exc))
    if current is None:
        return AssetStatus(asset, partition, "missing", None, "never materialised")
    why = "" if target.world else ", ".join(_changes(current.build, target))
    return AssetStatus(asset, partition, "outdated" if why else "current", version, why)


def _changes(build: Build, target: Target) -> Iterator[str]:
    if build.code_version != target.code_version:
        yield f"code {build.code_version} is now {target.code_version}"
    for name in sorted({*build.settings, *target.settings}):
        if build.settings.get(name) != target.settings.get(name):
            yield f"settings changed: {name}"
    read = {each.identity for each in build.inputs}
    yield from (f"{each.name} changed" for each in target.inputs if each.identity not in read)
