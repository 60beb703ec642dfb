"""The artifact store: build once, publish atomically, find again by what went in."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from styledag.errors import ArtifactBusyError, ArtifactMissingError, StorageError
from styledag.progress import Progress, SilentProgress
from styledag.settings import canonical_json, json_digest
from styledag.store.artifact import Artifact, Build, Facts, Input, artifact_name
from styledag.store.blobs import Blobs
from styledag.store.digest import RECORD_FILE, content_files, content_version, file_digest
from styledag.store.files import Files, storage_errors, written_below
from styledag.store.items import Items
from styledag.store.packed_items import PackedItems
from styledag.store.workspace import LOOKING, Workspace

_LEAST_SPACE_BYTES = 100_000_000
Body = Callable[[Workspace], Facts]
"""A stage: writes the artifact's files into the workspace and returns what it states of them."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What shall be built, and everything that decides its content.

    Attributes:
        partition: Partition's name in the store, parts joined by ``/``.
        code_version: The stage's own version.
        settings: JSON of the settings that decide content.
        inputs: What the stage reads.
        depends_on_outside: Whether something beyond the inputs decides the content, as a web site
            does; such a build always runs, and leaves it to its items to do no work twice.
        acts_outside: Whether the build changes something beyond the store, as a publication does;
            what an earlier build made there is no more, so it runs again unless it was the last.
    """

    asset: str
    partition: str
    code_version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Input] = ()
    depends_on_outside: bool = False
    acts_outside: bool = False

    @property
    def key(self) -> str:
        """sha256 of everything that decides the content."""
        parts = {
            "asset": self.asset,
            "code_version": self.code_version,
            "settings": self.settings,
            "inputs": sorted(each.identity for each in self.inputs),
        }
        return json_digest(parts)


@dataclass(frozen=True)
class Built:
    """The outcome of :meth:`Store.build`.

    Attributes:
        artifact: What now is the partition's current artifact.
        cached: Whether it was there already: the stage did not run or, where something outside
            decides the content, ran and found nothing to do.
        work: What the stage really did, by kind.
    """

    artifact: Artifact
    cached: bool
    work: Mapping[str, int]


class Store:
    """Artifacts, blobs and items below one root.

    Args:
        url: A folder or an fsspec URL.
        cache: Local folder for work in progress and copies when the root is remote.
    """

    def __init__(self, url: str, *, cache: Path | None = None) -> None:
        self.url = url
        self.files = Files(url, cache=cache or Path.home() / ".cache" / "styledag")
        self.blobs = Blobs(self.files)
        self.items = Items(self.files)

    def build(self, target: Target, body: Body, *, progress: Progress | None = None) -> Built:
        """Return the target's artifact, building it only if it isn't there.

        The body works in a scratch folder that a killed build leaves for the next try. Nothing
        appears under the artifact's name before all of it is there.

        Raises:
            ArtifactBusyError: If another process is building the same target.
            StorageError: If the store cannot be written.
        """
        before = self.current(target.asset, target.partition)
        found = None if target.depends_on_outside else self.find(target)
        is_undone = target.acts_outside and (before is None or before.build.key != target.key)
        if found is not None and not is_undone:
            self.make_current(found)
            return Built(found, cached=True, work={})
        # As much again as the last time, or what a first build of anything takes.
        last = 0 if before is None else sum(self.files.sizes(before.name).values())
        self.files.require_space(last + _LEAST_SPACE_BYTES)
        with self._work_folder(target) as work_folder:
            folder = work_folder / "artifact"
            scratch = work_folder / "scratch"
            with storage_errors(str(work_folder)):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                scratch.mkdir(exist_ok=True)
            items = PackedItems(self.files, self._own_folder("items_used", target))
            workspace = Workspace(
                folder,
                scratch,
                self.blobs,
                items,
                progress or SilentProgress(),
                kept=self._own_folder("kept", target),
            )
            with written_below(work_folder):
                facts = body(workspace)
            items.save()
            artifact = self._publish(target, folder, facts)
            # Or Arrow keeps what its tables took, and each further stage adds to it.
            pa.default_memory_pool().release_unused()
            shutil.rmtree(work_folder, ignore_errors=True)
        unchanged = before is not None and before.version == artifact.version
        return Built(
            artifact,
            cached=target.depends_on_outside and unchanged and not workspace.work.keys() - LOOKING,
            work=dict(workspace.work),
        )

    def find(self, target: Target) -> Artifact | None:
        """Return the artifact that an earlier build of just this target gave, or ``None``."""
        return self._artifact(target.asset, target.partition, target.key)

    def current(self, asset: str, partition: str) -> Artifact | None:
        """Return the artifact that the newest build of a partition gave, or ``None``."""
        head = self.files.read(_head_name(asset, partition))
        if head is None:
            return None
        return self._artifact(asset, partition, json.loads(head)["key"])

    def require(self, asset: str, partition: str) -> Artifact:
        """Return the current artifact of a partition.

        Raises:
            ArtifactMissingError: If there is none; the message says what to materialise.
        """
        artifact = self.current(asset, partition)
        if artifact is None:
            raise ArtifactMissingError(self._missing(asset, partition))
        return artifact

    def by_version(self, asset: str, partition: str, version: str) -> Artifact:
        """Return an artifact by its version, current or not.

        Raises:
            ArtifactMissingError: If the store does not hold it.
        """
        name = artifact_name(asset, partition, version)
        record = self.files.read(f"{name}/{RECORD_FILE}")
        if record is None:
            raise ArtifactMissingError(f"{self.files.describe(name)} is not in the store")
        return Artifact(Build.from_json(record), self.files)

    def builds(self) -> Iterator[tuple[str, Build]]:
        """Yield the record of every build by its name, those of removed artifacts too."""
        for name in self.files.sizes("builds"):
            record = self.files.read(name)
            if record is not None:
                yield name, Build.from_json(record)

    def heads(self) -> Iterator[Artifact]:
        """Yield the current artifact of every partition of every asset."""
        for name in self.files.sizes("heads"):
            asset, _, partition = name.removeprefix("heads/").partition("/")
            artifact = self.current(asset, partition.removesuffix(".json"))
            if artifact is not None:
                yield artifact

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Let no build begin in a work folder that is there, while the block runs.

        Raises:
            ArtifactBusyError: If something is being built.
        """
        with ExitStack() as stack:
            for lock in sorted((self.files.cache / "work").rglob("*.lock")):
                with storage_errors(str(lock)):
                    handle = stack.enter_context(lock.open("a"))
                _lock(handle, lock.parent.relative_to(self.files.cache / "work").as_posix())
            yield

    def resolve(self, upstream: Input) -> Artifact:
        """Return the artifact that a build names as its input.

        Raises:
            ArtifactMissingError: If the store does not hold it any more.
        """
        artifact = self._artifact(upstream.name, upstream.partition, upstream.build)
        if artifact is None:
            raise ArtifactMissingError(
                f"{upstream.name} of {upstream.partition}, version {upstream.version[:12]}, is no "
                f"longer in {self.url}"
            )
        return artifact

    def versions(self, asset: str, partition: str) -> list[str]:
        """Return the versions of a partition that the store contains, the first published first."""
        records = {
            version: self._record(asset, partition, version)
            for version in self.files.names(f"artifacts/{asset}/{partition}")
        }
        there = [version for version, name in records.items() if self.files.exists(name)]
        return sorted(there, key=lambda version: self.files.modified(records[version]))

    def published_at(self, artifact: Artifact) -> datetime:
        """Return when an artifact was published, in UTC."""
        return self.files.modified(
            self._record(artifact.asset, artifact.partition, artifact.version)
        )

    def _missing(self, asset: str, partition: str) -> str:
        """Return that an artifact was never made, what there is in its place, and what to do."""
        model = partition.rpartition("/")[0]
        names = self.files.names(f"heads/{asset}/{model}") if model else []
        there = [name.removesuffix(".json") for name in names or self.files.names(f"heads/{asset}")]
        return (
            f"{asset} of {partition.replace('/', '@')} is not in {self.url} (there: "
            f"{', '.join(there) or 'none'}): `styledag run {partition.partition('.')[0]} --to "
            f"{asset}` makes what the style file declares"
        )

    def _record(self, asset: str, partition: str, version: str) -> str:
        return f"{artifact_name(asset, partition, version)}/{RECORD_FILE}"

    def make_current(self, artifact: Artifact) -> None:
        """Make an artifact that the store holds the current one of its partition."""
        head = canonical_json({"key": artifact.build.key, "version": artifact.version}).encode()
        name = _head_name(artifact.asset, artifact.partition)
        if self.files.read(name) != head:
            self.files.write(name, head)

    def _artifact(self, asset: str, partition: str, key: str) -> Artifact | None:
        record = self.files.read(_build_name(asset, partition, key))
        if record is None:
            return None
        artifact = Artifact(Build.from_json(record), self.files)
        return artifact if self.files.exists(f"{artifact.name}/{RECORD_FILE}") else None

    def _publish(self, target: Target, folder: Path, facts: Facts) -> Artifact:
        digests = {name: file_digest(path) for name, path in content_files(folder).items()}
        version = content_version(digests)
        build = Build(
            asset=target.asset,
            partition=target.partition,
            # The key cannot name what was outside, so there the content itself does.
            key=version if target.depends_on_outside else target.key,
            version=version,
            code_version=target.code_version,
            settings=target.settings,
            inputs=tuple(target.inputs),
            facts=facts,
            files=digests,
        )
        with storage_errors(str(folder)):
            (folder / RECORD_FILE).write_bytes(build.to_json())
            _share(folder)
        artifact = Artifact(build, self.files)
        if not self.files.exists(f"{artifact.name}/{RECORD_FILE}"):
            self.files.publish(folder, artifact.name, last=RECORD_FILE)
        self.files.write(_build_name(build.asset, build.partition, build.key), build.to_json())
        self.make_current(artifact)
        return artifact

    def _own_folder(self, of: str, target: Target) -> Path:
        return self.files.cache / of / target.asset / target.partition

    @contextmanager
    def _work_folder(self, target: Target) -> Iterator[Path]:
        folder = self.files.cache / "work" / target.asset / target.partition / target.key
        lock = folder.with_suffix(".lock")
        with storage_errors(str(lock)):
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.open("a")
        with handle:
            _lock(handle, f"{target.asset} of {target.partition}")
            yield folder


class StoreAtOnce(Store):
    """A store as it is at one moment: each record is read once, and a later change is not seen."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._seen: dict[tuple[str, ...], Artifact | None] = {}

    def current(self, asset: str, partition: str) -> Artifact | None:
        """Return the artifact that the newest build of a partition gave, or ``None``."""
        seen = (asset, partition)
        if seen not in self._seen:
            self._seen[seen] = super().current(asset, partition)
        return self._seen[seen]

    def by_version(self, asset: str, partition: str, version: str) -> Artifact:
        """Return an artifact by its version, current or not.

        Raises:
            ArtifactMissingError: If the store does not hold it.
        """
        seen = ("version", asset, partition, version)
        found = self._seen.get(seen) or super().by_version(asset, partition, version)
        self._seen[seen] = found
        return found

    def _artifact(self, asset: str, partition: str, key: str) -> Artifact | None:
        seen = (asset, partition, key)
        if seen not in self._seen:
            self._seen[seen] = super()._artifact(asset, partition, key)
        return self._seen[seen]


def _lock(handle: IO[str], what: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise ArtifactBusyError(
            f"another process is building {what}: wait for it to end, then run again"
        ) from exc
    except OSError as exc:
        raise StorageError(
            f"{handle.name} cannot be locked: {os.strerror(exc.errno or 0)}; put the store on a "
            "file system with locks, or mount this one with them"
        ) from exc


def _share(folder: Path) -> None:
    """Let whoever may read the folder read its files; safetensors lets their owner alone."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _build_name(asset: str, partition: str, key: str) -> str:
    return f"builds/{asset}/{partition}/{key}.json"


def _head_name(asset: str, partition: str) -> str:
    return f"heads/{asset}/{partition}.json"
