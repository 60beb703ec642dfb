"""From a plan to a materialisation: build or find it, and say in the metadata what was done."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg

from styledag.defs.resources import ProgressOf
from styledag.errors import StyledagError
from styledag.graph.graph import Graph
from styledag.graph.plan import Plan
from styledag.store.artifact import Artifact, Facts, Input
from styledag.store.store import Built
from styledag.store.workspace import Workspace

AssetDecorator = Callable[..., Callable[[Callable[..., dg.MaterializeResult]], dg.AssetsDefinition]]
"""``dagster.asset`` with what a group of assets shares already filled in."""
Stage = Callable[[Plan, Workspace], Facts]
"""Makes what a plan says, in a workspace, and returns what it states of it."""
Preview = Callable[[Artifact], bytes | None]
"""Makes the thumbnail of an artifact: JPEG or GIF of at most 60 KB."""

OnBuilt = Callable[[Built], None]


def tell_nobody(_built: Built) -> None:
    """Nobody watches a run of the web UI; its log has it all."""


@dataclass(frozen=True)
class GraphRun:
    """The graph as assets meet it: plans, builds and what the web UI is told of them.

    Attributes:
        graph: Project and store.
        progress_of: Who shows each materialisation's progress.
        on_built: Told of each artifact as soon as it is there.
    """

    graph: Graph
    progress_of: ProgressOf
    on_built: OnBuilt = tell_nobody

    def materialise(
        self,
        context: dg.AssetExecutionContext,
        make_plan: Callable[[], Plan],
        stage: Stage,
        *,
        preview: Preview | None = None,
    ) -> dg.MaterializeResult:
        """Return the result of one asset's materialisation.

        Args:
            context: The running asset.
            make_plan: Plans the build.
            stage: Makes the artifact; called only if it has to be made.
            preview: Makes the thumbnail that the web UI shows.

        Raises:
            dagster.Failure: With the sentence of the :class:`StyledagError` behind it.
        """
        with failures():
            plan = make_plan()
            built = self.graph.store.build(
                plan.target, partial(stage, plan), progress=self.progress_of(context)
            )
            self.on_built(built)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(built.artifact.version),
                metadata=built_metadata(built, preview),
                check_results=_check_results(context, built.artifact),
            )


@contextmanager
def failures() -> Iterator[None]:
    """Turn styledag's errors into failures whose description is the error's own sentence.

    Raises:
        dagster.Failure: In place of any :class:`StyledagError`; never retried, as a retry of the
            same inputs would end the same way.
    """
    try:
        yield
    except StyledagError as exc:
        raise dg.Failure(
            description=str(exc), metadata={"kind": type(exc).__name__}, allow_retries=False
        ) from exc


def built_metadata(built: Built, preview: Preview | None = None) -> dict[str, Any]:
    """Return what the web UI shows of an artifact."""
    artifact = built.artifact
    metadata: dict[str, Any] = {
        "version": artifact.version,
        "cached": built.cached,
        **{f"did_{kind}": count for kind, count in sorted(built.work.items())},
        **{name: _metadata_value(value) for name, value in artifact.facts.items()},
        "location": dg.MetadataValue.path(artifact.location),
    }
    if artifact.build.inputs:
        metadata["made_from"] = dg.MetadataValue.md(_inputs_table(artifact.build.inputs))
    image = preview(artifact) if preview is not None else None
    if image is not None:
        metadata["preview"] = dg.MetadataValue.md(_inline_image(image))
    return metadata


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


NOTHING_LOST = "nothing_lost"


def nothing_lost(asset: str) -> dg.AssetCheckSpec:
    """Return the check that a stage's counts add up."""
    return dg.AssetCheckSpec(
        NOTHING_LOST,
        asset=asset,
        description="found = kept + the sum of the rejected by reason.",
    )


def _check_results(
    context: dg.AssetExecutionContext, artifact: Artifact
) -> list[dg.AssetCheckResult]:
    specs = [key for key in context.selected_asset_check_keys if key.name == NOTHING_LOST]
    if not specs:
        return []
    facts = artifact.facts
    rejected = sum(count for name, count in facts.items() if name.startswith("rejected_"))
    return [
        dg.AssetCheckResult(
            check_name=NOTHING_LOST,
            passed=facts["found"] == facts["kept"] + rejected,
            metadata={"found": facts["found"], "kept": facts["kept"], "rejected": rejected},
        )
    ]
