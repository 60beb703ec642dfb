"""What an artifact came from, back to every image's address."""

from collections.abc import Sequence
from dataclasses import dataclass

from styledag.errors import LineageError, StorageError
from styledag.store.artifact import Artifact, Input
from styledag.store.store import Store


@dataclass(frozen=True)
class Ancestor:
    """One step of a lineage.

    Attributes:
        depth: Fewest steps away from the artifact that was asked about; 0 is itself.
        input: How the step below names it.
        artifact: It, or ``None`` for a model from outside the graph.
    """

    depth: int
    input: Input
    artifact: Artifact | None


def trace(store: Store, artifact: Artifact) -> list[Ancestor]:
    """Return an artifact and all that it came from, each once, nearest first.

    Raises:
        LineageError: If a build that it came from is no longer in the store.
    """
    traced: dict[tuple[str, str, str], Ancestor] = {}
    level = [Ancestor(0, artifact.as_input(), artifact)]
    while level:
        following = []
        for ancestor in level:
            upstream = ancestor.input
            identity = (upstream.name, upstream.partition, upstream.version)
            if identity not in traced:
                traced[identity] = ancestor
                following += _parents(store, ancestor)
        level = following
    return list(traced.values())


def find_ancestor(store: Store, artifact: Artifact, asset: str) -> Artifact:
    """Return the artifact of an asset that an artifact came from.

    Raises:
        LineageError: If it came from none.
    """
    for ancestor in trace(store, artifact):
        if ancestor.artifact is not None and ancestor.input.name == asset:
            return ancestor.artifact
    raise LineageError(f"{artifact.asset} of {artifact.partition} came from no {asset}")


def sources_first(ancestors: Sequence[Ancestor]) -> list[Ancestor]:
    """Return ancestors so that each stands after everything that it came from."""
    by_identity = {each.input.identity: each for each in ancestors}
    ordered: dict[tuple[str, str, str], Ancestor] = {}

    def add(ancestor: Ancestor) -> None:
        if ancestor.input.identity in ordered:
            return
        for upstream in ancestor.artifact.build.inputs if ancestor.artifact else ():
            add(by_identity[upstream.identity])
        ordered[ancestor.input.identity] = ancestor

    for ancestor in ancestors:
        add(ancestor)
    return list(ordered.values())


def _parents(store: Store, ancestor: Ancestor) -> list[Ancestor]:
    if ancestor.artifact is None:
        return []
    return [
        Ancestor(ancestor.depth + 1, each, _resolved(store, each) if each.build else None)
        for each in ancestor.artifact.build.inputs
    ]


def _resolved(store: Store, upstream: Input) -> Artifact:
    try:
        return store.resolve(upstream)
    except StorageError as exc:
        raise LineageError(f"the lineage breaks off: {exc}") from exc
