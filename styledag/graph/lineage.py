"""What an artifact came from, back to every image's address."""

from collections.abc import Callable, Sequence
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
    return _traced(artifact, store.resolve)


def trace_among(ancestors: Sequence[Ancestor], artifact: Artifact) -> list[Ancestor]:
    """Return the same of an artifact whose ancestors are at hand, without a store.

    Args:
        ancestors: The artifact and all that it came from, and others.
        artifact: The artifact.
    """
    known = {each.input.identity: each.artifact for each in ancestors if each.artifact}
    return _traced(artifact, lambda upstream: known[upstream.identity])


def find_ancestor(store: Store, artifact: Artifact, asset: str) -> Artifact:
    """Return the artifact of an asset that an artifact came from.

    Raises:
        LineageError: If it came from none.
    """
    return nearest(trace(store, artifact), asset)


def nearest(traced: Sequence[Ancestor], asset: str) -> Artifact:
    """Return the artifact of an asset among an artifact and all that it came from, nearest first.

    Raises:
        LineageError: If there is none.
    """
    for ancestor in traced:
        if ancestor.artifact is not None and ancestor.input.name == asset:
            return ancestor.artifact
    first = traced[0].input
    raise LineageError(f"{first.name} of {first.partition} came from no {asset}")


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


def _traced(artifact: Artifact, resolve: Callable[[Input], Artifact]) -> list[Ancestor]:
    traced: dict[tuple[str, str, str], Ancestor] = {}
    level = [Ancestor(0, artifact.as_input(), artifact)]
    while level:
        following = []
        for ancestor in level:
            identity = ancestor.input.identity
            if identity not in traced:
                traced[identity] = ancestor
                following += _parents(ancestor, resolve)
        level = following
    return list(traced.values())


def _parents(ancestor: Ancestor, resolve: Callable[[Input], Artifact]) -> list[Ancestor]:
    if ancestor.artifact is None:
        return []
    return [
        Ancestor(ancestor.depth + 1, each, _resolved(each, resolve) if each.build else None)
        for each in ancestor.artifact.build.inputs
    ]


def _resolved(upstream: Input, resolve: Callable[[Input], Artifact]) -> Artifact:
    try:
        return resolve(upstream)
    except StorageError as exc:
        raise LineageError(f"the lineage breaks off: {exc}") from exc
