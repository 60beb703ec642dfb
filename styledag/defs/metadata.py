"""What the web UI shows of an artifact: figures, inputs, a thumbnail and the outcome of checks."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import dagster as dg

from styledag.defs.placement import Placement
from styledag.errors import LineageError
from styledag.graph.checks import Check, Checked
from styledag.graph.lineage import find_ancestor
from styledag.graph.names import Partition
from styledag.graph.pages import page_paths
from styledag.graph.stage import Stage
from styledag.store.artifact import Artifact, Input
from styledag.store.store import Built, Store

_RECIPE = "Recipe"
"""Name of the recipe in the settings of what a training makes."""


def name_tags(partitions: Iterable[Partition]) -> dict[str, str]:
    """Return tags by which runs and materialisations are filtered: their style and recipe.

    Of a run of several partitions it has those that all of them share.
    """
    styles, recipes = set[str](), set[str]()
    for each in partitions:
        styles.add(each.style)
        recipes.add(each.recipe)
    tags = {"styledag/style": styles, "styledag/recipe": recipes - {""}}
    return {tag: next(iter(names)) for tag, names in tags.items() if len(names) == 1}


def built_metadata(
    stage: Stage, built: Built, links: Mapping[str, dg.MetadataValue]
) -> dict[str, Any]:
    """Return what the web UI shows of an artifact, its thumbnail and links first."""
    artifact, metadata = built.artifact, dict[str, Any]()
    image = stage.preview(artifact) if stage.preview is not None else None
    if image is not None:
        metadata["preview"] = dg.MetadataValue.md(_inline_image(image))
    metadata |= {
        **links,
        "version": artifact.version,
        "code_version": artifact.build.code_version,
        "cached": built.cached,
        **{f"did_{kind}": count for kind, count in sorted(built.work.items())},
        **{name: _metadata_value(value) for name, value in artifact.facts.items()},
        "location": dg.MetadataValue.path(artifact.location),
    }
    if artifact.build.inputs:
        metadata["made_from"] = dg.MetadataValue.md(_inputs_table(artifact.build.inputs))
    return metadata


def lineage_links(
    pages_url: str, store: Store, artifact: Artifact, placement: Placement
) -> dict[str, dg.MetadataValue]:
    """Return what leads from an artifact to what it came from.

    Args:
        pages_url: Where artifacts' pages are served; they are left out if it is empty.
        store: Where the artifacts are.
        artifact: The artifact.
        placement: Keys of the assets.

    Returns:
        Links to the artifact's pages and, in the web UI, to the dataset and to the training that it
        came from.
    """
    found: dict[str, dg.MetadataValue] = {}
    if pages_url:
        for name, path in page_paths(store, artifact).items():
            found[f"open_{name}"] = dg.MetadataValue.url(f"{pages_url}{path}")
    partition = Partition.from_store(artifact.partition)
    if partition.recipe:
        for name, asset, of in (
            ("open_dataset", "image_dataset", partition.widened("style")),
            ("open_training", "ema_unet", partition.widened("model")),
        ):
            key = "/".join(quote(each) for each in placement.asset(asset).path)
            query = urlencode({"view": "partitions", "partition": of.key})
            found[name] = dg.MetadataValue.url(f"/assets/{key}?{query}")
    return found


def recipe_metadata(store: Store, artifact: Artifact) -> dict[str, dg.MetadataValue]:
    """Return the recipe of the training that made an artifact, as it was; nothing if none did."""
    if _RECIPE not in artifact.build.settings:
        try:
            artifact = find_ancestor(store, artifact, "ema_unet")
        except LineageError:
            return {}
    return {"recipe": dg.MetadataValue.json(artifact.build.settings[_RECIPE])}


def _metadata_value(value: Any) -> Any:
    if value is None:
        return "none"
    if isinstance(value, list | tuple | dict):
        return dg.MetadataValue.json(value)
    if isinstance(value, float):
        # For the eye: 0.45 instead of 0.44999999999999996; the artifact keeps every digit.
        return float(f"{value:.6g}")
    return value


def _inputs_table(inputs: tuple[Input, ...]) -> str:
    rows = [f"| {each.name} | {each.partition} | `{each.version[:12]}` |" for each in inputs]
    return "\n".join(["| input | partition | version |", "| --- | --- | --- |", *rows])


def _inline_image(image: bytes) -> str:
    kind = "gif" if image.startswith(b"GIF8") else "jpeg"
    return f"![preview](data:image/{kind};base64,{base64.b64encode(image).decode()})"


def check_result(check: Check, checked: Checked) -> dg.AssetCheckResult:
    """Return the outcome of a check as Dagster records it."""
    outcome = check.look(checked)
    is_error = check.name in checked.style.checks.errors
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=outcome.why,
        metadata=dict(outcome.figures),
    )
