"""The per-item cache of one partition's builds: what the last one used is read as one file."""

import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from styledag.store.files import Files, storage_errors
from styledag.store.items import Items

_MOST_BYTES = 4_096
"""Larger results are read from their own files: packed, they would only be stored twice."""
_BATCH = 1_024
_SCHEMA = pa.schema([("key", pa.string()), ("content", pa.binary())])


class PackedItems(Items):
    """Items that are found in one file per namespace, and in a file each if they are not in it.

    Each result still has its own file as soon as it is known, so a kill loses none.

    Args:
        files: The store's.
        folder: Local folder of the packed files; may be removed at any time.
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
        packed = {key: pack.content(key) for key in keys if key in pack.rows}
        pack.used.update(dict.fromkeys(packed))
        rest = super().get_many(namespace, [key for key in keys if key not in packed])
        for key, content in rest.items():
            pack.note(key, content)
        return packed | dict(rest)

    def put(self, namespace: str, key: str, content: bytes) -> None:
        """Remember one result."""
        super().put(namespace, key, content)
        pack = self._pack(namespace)
        pack.rows.pop(key, None)
        pack.note(key, content)

    def save(self) -> None:
        """Write what has been used since this was made, where that is more than was packed."""
        for namespace, pack in self._packs.items():
            if pack.used.keys() <= pack.rows.keys():
                continue
            path = self._path(namespace)
            with storage_errors(str(path)):
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
                try:
                    with pa.ipc.new_file(partial, _SCHEMA) as writer:
                        for batch in self._batches(namespace, pack):
                            writer.write_batch(batch)
                    partial.replace(path)
                finally:
                    partial.unlink(missing_ok=True)

    def _batches(self, namespace: str, pack: "_Pack") -> Iterator[pa.RecordBatch]:
        keys = iter(pack.used)
        while some := list(islice(keys, _BATCH)):
            contents = dict(
                super().get_many(namespace, [key for key in some if key not in pack.rows])
            )
            contents |= {key: pack.content(key) for key in some if key in pack.rows}
            yield pa.record_batch([list(contents), list(contents.values())], schema=_SCHEMA)

    def _pack(self, namespace: str) -> "_Pack":
        with self._opening:
            if namespace not in self._packs:
                self._packs[namespace] = _Pack(self._path(namespace))
            return self._packs[namespace]

    def _path(self, namespace: str) -> Path:
        return self._folder / f"{namespace}.arrow"


class _Pack:
    """One file of results, read as they are asked for, and which of all results were used."""

    def __init__(self, path: Path) -> None:
        self.used: dict[str, None] = {}
        self.rows: dict[str, tuple[int, int]] = {}
        self._contents: list[pa.Array] = []
        try:
            with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
                self._read(reader.get_batch(at) for at in range(reader.num_record_batches))
        except (OSError, pa.ArrowException):
            self.rows.clear()  # every result has a file of its own

    def content(self, key: str) -> bytes:
        batch, row = self.rows[key]
        return bytes(self._contents[batch][row].as_py())

    def note(self, key: str, content: bytes) -> None:
        """Count a result as used if it is worth packing."""
        if len(content) <= _MOST_BYTES:
            self.used[key] = None

    def _read(self, batches: Iterable[pa.RecordBatch]) -> None:
        for at, batch in enumerate(batches):
            self.rows |= {key: (at, row) for row, key in enumerate(batch["key"].to_pylist())}
            self._contents.append(batch["content"])
