"""What an artifact came from, back to every image's address."""

from collections.abc import Iterator
from dataclasses import dataclass

from styledag.errors import LineageError, StorageError
from styledag.store.artifact import Artifact, Input
from styledag.store.store import Store


@dataclass(frozen=True)
class Ancestor:
    """One step of a lineage.

    Attributes:
        depth: Steps away from the artifact that was asked about; 0 is itself.
        input: How the step below names it.
        artifact: It, or ``None`` for a model from outside the graph.
    """

    depth: int
    input: Input
    artifact: Artifact | None


def trace(store: Store, artifact: Artifact) -> list[Ancestor]:
    """Return an artifact and all that it came from, each once, nearest first in depth.

    Raises:
        LineageError: If a build that it came from is no longer in the store.
    """
    seen: set[tuple[str, str, str]] = set()
    return list(_walk(store, Ancestor(0, artifact.as_input(), artifact), seen))


def find_ancestor(store: Store, artifact: Artifact, asset: str) -> Artifact:
    """Return the artifact of an asset that an artifact came from.

    Raises:
        LineageError: If it came from none.
    """
    for ancestor in trace(store, artifact):
        if ancestor.artifact is not None and ancestor.input.name == asset:
            return ancestor.artifact
    raise LineageError(f"{artifact.asset} of {artifact.partition} came from no {asset}")


def _walk(store: Store, ancestor: Ancestor, seen: set[tuple[str, str, str]]) -> Iterator[Ancestor]:
    identity = (ancestor.input.name, ancestor.input.partition, ancestor.input.version)
    if identity in seen:
        return
    seen.add(identity)
    yield ancestor
    if ancestor.artifact is None:
        return
    for upstream in ancestor.artifact.build.inputs:
        artifact = None
        if upstream.build:
            try:
                artifact = store.resolve(upstream)
            except StorageError as exc:
                raise LineageError(f"the lineage breaks off: {exc}") from exc
        yield from _walk(store, Ancestor(ancestor.depth + 1, upstream, artifact), seen)
