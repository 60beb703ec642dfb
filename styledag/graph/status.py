"""What is there, what is out of date and why, without running anything."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from styledag.errors import ArtifactMissingError, StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.plan import ANCESTORS, declared_digest, plan_as_recorded, read_partitions
from styledag.graph.stage import Declaration, Stage
from styledag.settings import json_digest
from styledag.store.artifact import Build
from styledag.store.store import Target

State = Literal["current", "outdated", "missing", "broken"]


@dataclass(frozen=True)
class AssetStatus:
    """One partition of one asset.

    Attributes:
        state: ``current``; ``outdated`` if the next run would look at it again; ``missing`` if it
            was never made; ``broken`` if its plan cannot be made.
        version: Version that is there, if any.
        why: What is out of date, missing or broken; empty when current.
        declared: Digest of what the style file decides, of this asset and of what is outdated
            before it; empty when it is broken. An asset that was made under another one is stale.
    """

    asset: str
    partition: str
    state: State
    version: str | None
    why: str = ""
    declared: str = ""


def style_status(catalogue: Catalogue, style: str) -> list[AssetStatus]:
    """Return the state of every asset of a style and its models, in the order of a run.

    Raises:
        StyleFileError: If the style file is missing or broken.
    """
    declared = catalogue.style(style)
    known: dict[tuple[str, str], AssetStatus] = {}
    for stage, partition in catalogue.walk(style):
        declaration = Declaration(declared, partition)
        known[stage.name, partition.key] = _status(catalogue, stage, declaration, known)
    return list(known.values())


def _status(
    catalogue: Catalogue,
    stage: Stage,
    declaration: Declaration,
    known: dict[tuple[str, str], AssetStatus],
) -> AssetStatus:
    partition = declaration.partition
    current = catalogue.store.current(stage.name, partition.stored_as)
    version = None if current is None else current.version
    try:
        pending = _pending(catalogue, stage, declaration, known)
        recorded = () if current is None else current.build.inputs
        try:
            plan = plan_as_recorded(catalogue, stage, declaration, recorded)
        except ArtifactMissingError as exc:
            state: State = "missing" if current is None else "outdated"
            declared = _with_pending(declared_digest(catalogue, stage, declaration), pending)
            waits_for = dict.fromkeys(f"{each.asset} is {each.state}" for each in pending)
            why = ", ".join(waits_for) or str(exc)
            return AssetStatus(stage.name, partition.key, state, version, why, declared)
    except StyledagError as exc:
        return AssetStatus(stage.name, partition.key, "broken", version, str(exc))
    declared = _with_pending(plan.declared, pending)
    changes = [] if current is None else [*_changes(current.build, plan.target)]
    if current is None:
        why = "never materialised"
        return AssetStatus(stage.name, partition.key, "missing", None, why, declared)
    changes += [f"{each.asset} is {each.state}" for each in pending]
    state = "outdated" if changes else "current"
    return AssetStatus(
        stage.name, partition.key, state, version, ", ".join(dict.fromkeys(changes)), declared
    )


def _pending(
    catalogue: Catalogue,
    stage: Stage,
    declaration: Declaration,
    known: dict[tuple[str, str], AssetStatus],
) -> list[AssetStatus]:
    """Return what a stage reads that is not current itself."""
    upstream = statuses_read(catalogue, stage, declaration, known)
    return [each for each in upstream if each.state != "current"]


def statuses_read(
    catalogue: Catalogue,
    stage: Stage,
    declaration: Declaration,
    known: Mapping[tuple[str, str], AssetStatus],
) -> list[AssetStatus]:
    """Return the states of what a stage reads.

    Those of the style's own assets are in ``known``, by asset and partition key. What another style
    made is current if it is there: it is read as it was made last.
    """
    return [
        known.get((reads.asset, partition.key)) or _elsewhere(catalogue, reads.asset, partition)
        for reads, partitions in read_partitions(catalogue, stage, declaration)
        for partition in partitions
    ]


def _elsewhere(catalogue: Catalogue, asset: str, partition: Partition) -> AssetStatus:
    current = catalogue.store.current(asset, partition.stored_as)
    if current is None:
        return AssetStatus(asset, partition.key, "missing", None, "never materialised")
    return AssetStatus(asset, partition.key, "current", current.version)


def _with_pending(declared: str, pending: Sequence[AssetStatus]) -> str:
    if not pending:
        return declared
    parts = [declared, [[each.asset, each.partition, each.declared] for each in pending]]
    return json_digest(parts)


def declared_changes(build: Build, target: Target) -> Iterator[str]:
    """Yield what differs in code, settings, files and models between a build and a planned one."""
    if build.code_version != target.code_version:
        yield f"code {build.code_version} is now {target.code_version}"
    for name in sorted({*build.settings, *target.settings}):
        if name != ANCESTORS and build.settings.get(name) != target.settings.get(name):
            yield f"settings changed: {name}"
    yield from _input_changes(build, target, upstream=False)


def _changes(build: Build, target: Target) -> Iterator[str]:
    yield from declared_changes(build, target)
    if build.settings.get(ANCESTORS) != target.settings.get(ANCESTORS):
        yield "ancestors changed"
    yield from _input_changes(build, target, upstream=True)


def _input_changes(build: Build, target: Target, *, upstream: bool) -> Iterator[str]:
    """Yield changes of upstream artifacts, or of files and models from outside."""
    read, planned = (
        [each for each in inputs if bool(each.build) == upstream]
        for inputs in (build.inputs, target.inputs)
    )
    known = {each.identity for each in read}
    yield from (f"{each.name} changed" for each in planned if each.identity not in known)
    now = {each.identity[:2] for each in planned}
    yield from (f"{each.name} is no longer read" for each in read if each.identity[:2] not in now)
