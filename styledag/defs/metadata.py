"""What the web UI shows of an artifact: figures, inputs, a thumbnail and the outcome of checks."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import dagster as dg

from styledag.defs.placement import Placement
from styledag.graph.checks import Check, Checked
from styledag.graph.names import Partition
from styledag.graph.pages import page_paths
from styledag.graph.stage import Stage
from styledag.store.artifact import Artifact, Input
from styledag.store.store import Built, Store


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
        "cached": built.cached,
        **{f"did_{kind}": count for kind, count in sorted(built.work.items())},
        **{name: _metadata_value(value) for name, value in artifact.facts.items()},
        "location": dg.MetadataValue.path(artifact.location),
    }
    if artifact.build.inputs:
        metadata["made_from"] = dg.MetadataValue.md(_inputs_table(artifact.build.inputs))
    return metadata


def page_links(
    pages_url: str, store: Store, artifact: Artifact, placement: Placement
) -> dict[str, dg.MetadataValue]:
    """Return links to an artifact's pages, and to the dataset in the web UI that it came from."""
    links: dict[str, dg.MetadataValue] = {
        f"open_{name}": dg.MetadataValue.url(f"{pages_url}{path}")
        for name, path in page_paths(store, artifact).items()
    }
    partition = Partition.from_store(artifact.partition)
    if partition.recipe:
        key = "/".join(quote(each) for each in placement.asset("image_dataset").path)
        query = urlencode({"view": "partitions", "partition": partition.style})
        links["open_dataset"] = dg.MetadataValue.url(f"/assets/{key}?{query}")
    return links


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
