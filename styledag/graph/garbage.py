"""What of a store nothing that is kept came from, and the room that its removal frees."""

import shutil
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from styledag.errors import ArtifactMissingError, StyledagError
from styledag.graph.catalogue import Catalogue, partitions_of
from styledag.graph.freshness.retraining import MODEL
from styledag.graph.names import Partition
from styledag.graph.plan import listed_parts, plan_build
from styledag.store.artifact import Artifact
from styledag.store.files import storage_errors
from styledag.store.store import Store

_DIGEST_LENGTH = 64
Kind = Literal["artifact", "undeclared", "abandoned work", "training state"]


_ARTIFACTS: tuple[Kind, ...] = ("artifact", "undeclared")


@dataclass(frozen=True)
class Garbage:
    """One folder, or one file that was cut off, that can be removed.

    Attributes:
        kind: ``artifact``: a version that nothing current came from. ``undeclared``: one that is
            current, or that such a one came from, of a style, recipe, epoch or blend that no style
            file declares any more. ``abandoned work``: what a build left that no run would
            continue. ``training state``: that of a finished training, from which one with more
            epochs would continue.
        partition: The partition's key; empty for a file that was cut off.
        name: Where it is below the store's root, or below its local cache.
        size_bytes: Bytes that its removal frees.
    """

    kind: Kind
    asset: str
    partition: str
    name: str
    size_bytes: int


def find_garbage(catalogue: Catalogue) -> list[Garbage]:
    """Return what can be removed from a store, artifacts first.

    The current artifact of every partition that a style file declares is kept, with everything that
    it came from and with all checkpoints that it lists; so are images and the results by item,
    which are small beside the weights and cost a download or a computation to have again.
    """
    store = catalogue.store
    return [*_artifacts(catalogue), *_work(catalogue), *_cut_off(store), *_training_states(store)]


def remove_garbage(catalogue: Catalogue, garbage: list[Garbage]) -> None:
    """Remove what :func:`find_garbage` returned.

    Raises:
        ArtifactBusyError: If something is being built; nothing is removed then.
        StorageError: If a folder cannot be removed.
    """
    store = catalogue.store
    with store.at_rest():
        removed = {each.name for each in garbage if each.kind in _ARTIFACTS}
        # The records first: what is still found must be whole.
        for name, build in list(store.builds()):
            if Artifact(build, store.files).name in removed:
                store.files.remove(name)
        for each in garbage:
            if each.kind in _ARTIFACTS:
                store.files.remove_folder(each.name)
            else:
                _remove_local(store.files.cache / each.name)


def _artifacts(catalogue: Catalogue) -> Iterator[Garbage]:
    heads = list(catalogue.store.heads())
    declared = _kept(catalogue, _declared(catalogue, heads), set())
    kept = _kept(catalogue, heads, declared)
    sizes: dict[str, int] = {}
    for name, size_bytes in catalogue.store.files.sizes("artifacts").items():
        # artifacts/ASSET/PARTITION/VERSION/FILE; a partition may have a folder of its own.
        parts = name.split("/")
        depth = next((at for at, part in enumerate(parts) if len(part) == _DIGEST_LENGTH), None)
        if depth is None:
            continue
        folder = "/".join(parts[: depth + 1])
        sizes[folder] = sizes.get(folder, 0) + size_bytes
    for folder, size_bytes in sorted(sizes.items()):
        if folder not in declared:
            _, asset, *partition, _ = folder.split("/")
            key = Partition.from_store("/".join(partition)).key
            kind: Kind = "undeclared" if folder in kept else "artifact"
            yield Garbage(kind, asset, key, folder, size_bytes)


def _declared(catalogue: Catalogue, heads: Iterable[Artifact]) -> Iterator[Artifact]:
    """Yield the current artifacts that a style file declares, or may declare once it is mended."""
    declared: set[tuple[str, str]] = set()
    unreadable: set[str] = set()
    now = catalogue.at_once()
    for name in catalogue.project.style_paths:
        try:
            style = now.style(name)
            declared |= {(stage.name, each.stored_as) for stage, each in now.walk(name)}
        except StyledagError:
            unreadable.add(name)
            continue
        for published in now.publisher_of:
            for model in partitions_of(style, Partition(name), "model"):
                parts = partitions_of(style, model, now.stages[published].grain)
                declared |= {(published, each.stored_as) for each in parts}
    for head in heads:
        style_name = Partition.from_store(head.partition).style
        if style_name in unreadable or (head.asset, head.partition) in declared:
            yield head


def _kept(catalogue: Catalogue, heads: Iterable[Artifact], known: AbstractSet[str]) -> set[str]:
    """Return the names of current artifacts and of all that they came from or list, and known ones.

    Those of a known artifact are known too.
    """
    store, seen = catalogue.store, set(known)
    waiting = list(heads)
    while waiting:
        artifact = waiting.pop()
        if artifact.name in seen:
            continue
        seen.add(artifact.name)
        if artifact.asset in catalogue.stages:
            waiting += _listed(catalogue, artifact)
        for upstream in artifact.build.inputs:
            if upstream.build:
                try:
                    waiting.append(store.resolve(upstream))
                except ArtifactMissingError:
                    continue
    return seen


def _listed(catalogue: Catalogue, artifact: Artifact) -> list[Artifact]:
    try:
        return list(listed_parts(catalogue, artifact.asset, artifact).values())
    except ArtifactMissingError:
        return []


def _work(catalogue: Catalogue) -> Iterator[Garbage]:
    """Yield scratch folders that the next run of their partition would not find."""
    root = catalogue.store.files.cache / "work"
    for folder in sorted(root.rglob("scratch")):
        key = folder.parent
        if len(key.name) != _DIGEST_LENGTH:
            continue
        asset, *partition = key.parent.relative_to(root).parts
        named = Partition.from_store("/".join(partition))
        if not _is_continued(catalogue, asset, named, key.name):
            name = key.relative_to(catalogue.store.files.cache).as_posix()
            yield Garbage("abandoned work", asset, named.key, name, _size(key))


def _is_continued(catalogue: Catalogue, asset: str, partition: Partition, key: str) -> bool:
    """Return whether the next build would continue in a folder, or may do so once it is planned."""
    if asset not in catalogue.stages:
        return False
    if partition.style not in catalogue.project.style_paths:
        return False
    try:
        recipes = catalogue.style(partition.style).recipes
        if partition.recipe and partition.recipe not in recipes:
            return False
        return plan_build(catalogue, asset, partition).target.key == key
    except StyledagError:
        return True


def _cut_off(store: Store) -> Iterator[Garbage]:
    """Yield files whose writer was killed before it could give them their name."""
    root = store.files.cache
    for folder in ("blobs", "items", "builds", "heads") if store.files.is_local else ():
        for path in sorted((root / folder).rglob("*.partial")):
            with suppress(FileNotFoundError):  # its writer was alive, and has named it since
                size_bytes, name = path.stat().st_size, path.relative_to(root).as_posix()
                yield Garbage("abandoned work", folder, "", name, size_bytes)


def _training_states(store: Store) -> Iterator[Garbage]:
    for folder in sorted((store.files.cache / "kept" / MODEL).glob("*")):
        name = folder.relative_to(store.files.cache).as_posix()
        yield Garbage("training state", MODEL, folder.name, name, _size(folder))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove_local(path: Path) -> None:
    with storage_errors(str(path)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)  # its writer may have been alive, and has named it since
