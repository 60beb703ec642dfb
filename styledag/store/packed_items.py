"""The per-item cache of one partition's builds: what the last one used is read as few files."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from styledag.batched import batched
from styledag.store.files import Files, replaced, storage_errors
from styledag.store.items import Items

_MOST_BYTES = 4_096
"""Larger results are read from their own files: packed, they would only be stored twice."""
_BATCH = 1_024
_BATCHES_IN_MEMORY = 4
_MOST_ADDED = 1 / 16
"""Share of a pack that may lie in the file beside it, before both become one."""
_SCHEMA = pa.schema([("key", pa.string()), ("content", pa.binary())])


class PackedItems(Items):
    """Items that are found in a pack per namespace, and in a file each if they are not in it.

    Each result still has its own file as soon as it is known, so a kill loses none. A pack is one
    large file and a small one of what came since, so that few new results cost little to pack.

    Args:
        files: The store's.
        folder: Local folder of the packs; may be removed at any time.
    """

    def __init__(self, files: Files, folder: Path) -> None:
        super().__init__(files)
        self._folder = folder
        self._packs: dict[str, _Pack] = {}
        self._opening = threading.Lock()

    def get(self, namespace: str, key: str) -> bytes | None:
        """Return one result, or ``None`` if it is not known."""
        return self.get_many(namespace, [key]).get(key)

    def get_many(self, namespace: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the results that are known, by key."""
        pack = self._pack(namespace)
        packed = pack.contents(keys)
        pack.used.update(dict.fromkeys(packed))
        if len(packed) == len(keys):
            return packed
        rest = super().get_many(namespace, [key for key in keys if key not in packed])
        for key, content in rest.items():
            pack.note(key, content)
        return packed | dict(rest)

    def put(self, namespace: str, key: str, content: bytes) -> None:
        """Remember one result."""
        super().put(namespace, key, content)
        pack = self._pack(namespace)
        pack.forget(key)
        pack.note(key, content)

    def save(self) -> None:
        """Write what has been used since this was made, where that is more than was packed."""
        for namespace, pack in self._packs.items():
            added = [key for key in pack.used if key not in pack.large]
            if all(key in pack.small for key in added):
                continue
            kept = len(pack.used) - len(added)
            large, small = _paths(self._folder, namespace)
            if len(added) > _MOST_ADDED * len(pack.large) or 2 * kept < len(pack.large):
                with storage_errors(str(small)):
                    # First, since what lies in it counts more than what the large one has.
                    small.unlink(missing_ok=True)
                _write(large, self._batches(namespace, pack, pack.used))
            else:
                _write(small, self._batches(namespace, pack, added))

    def _batches(
        self, namespace: str, pack: "_Pack", keys: Iterable[str]
    ) -> Iterator[pa.RecordBatch]:
        for some in batched(keys, _BATCH):
            contents = pack.contents(some)
            contents |= super().get_many(namespace, [key for key in some if key not in contents])
            yield pa.record_batch([list(contents), list(contents.values())], schema=_SCHEMA)

    def _pack(self, namespace: str) -> "_Pack":
        with self._opening:
            if namespace not in self._packs:
                self._packs[namespace] = _Pack(*_paths(self._folder, namespace))
            return self._packs[namespace]


class _Pack:
    """Results in two files, and which of all results were used."""

    def __init__(self, large: Path, small: Path) -> None:
        self.used: dict[str, None] = {}
        self._files = _PackFile(small), _PackFile(large)

    @property
    def small(self) -> Mapping[str, int]:
        return self._files[0].rows

    @property
    def large(self) -> Mapping[str, int]:
        return self._files[1].rows

    def contents(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the packed ones of some results."""
        newer, older = self._files
        found = newer.contents(keys) if newer.rows else {}
        rest = [key for key in keys if key not in found] if found else keys
        return older.contents(rest) | found

    def note(self, key: str, content: bytes) -> None:
        """Count a result as used if it is worth packing."""
        if len(content) <= _MOST_BYTES:
            self.used[key] = None

    def forget(self, key: str) -> None:
        for each in self._files:
            each.rows.pop(key, None)


class _PackFile:
    """One file of results, of which a few batches are in memory."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, int] = {}
        self._batch = lru_cache(_BATCHES_IN_MEMORY)(self._read)
        try:
            self._reader = pa.ipc.open_file(pa.OSFile(str(path)))
            only_keys = pa.ipc.IpcReadOptions(included_fields=[0])
            with pa.OSFile(str(path)) as file, pa.ipc.open_file(file, options=only_keys) as keys:
                for at in range(keys.num_record_batches):
                    named = keys.get_batch(at)["key"].to_pylist()
                    rows = range(at * _BATCH, at * _BATCH + len(named))
                    self.rows |= zip(named, rows, strict=True)
        except (OSError, pa.ArrowException):
            self.rows.clear()  # every result has a file of its own

    def contents(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the results that are in the file, batch by batch in whatever order they lie."""
        by_batch: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
        for key in keys:
            row = self.rows.get(key)
            if row is not None:
                by_batch[row // _BATCH].append((key, row % _BATCH))
        found: dict[str, bytes] = {}
        for at, some in by_batch.items():
            offsets, data = self._batch(at)
            for key, row in some:
                found[key] = data[offsets[row] : offsets[row + 1]]
        return found

    def _read(self, at: int) -> tuple[memoryview, bytes]:
        """Return where the contents of a batch begin and end, and the contents."""
        _, offsets, data = self._reader.get_batch(at)["content"].buffers()
        return memoryview(offsets).cast("i"), b"" if data is None else data.to_pybytes()


def _paths(folder: Path, namespace: str) -> tuple[Path, Path]:
    return folder / f"{namespace}.arrow", folder / f"{namespace}.added.arrow"


def _write(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    with replaced(path) as partial, pa.ipc.new_file(partial, _SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)
