"""Write rows with images as Parquet shards, in memory that does not grow with their number."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from styledag.dataset.columns import TEXT_COLUMNS, VARIANTS_COLUMN

SHARD_BYTES = 500_000_000
"""Most bytes of images in a shard, unless one row group alone is larger."""
ROW_GROUP_BYTES = 16_000_000
ROW_GROUP_ROWS = 256
_TEXT_PATHS = (*TEXT_COLUMNS, f"{VARIANTS_COLUMN}.list.element")

Row = Mapping[str, Any]


def write_shards(
    folder: Path,
    split: str,
    rows: Iterable[Row],
    schema: pa.Schema,
    *,
    shard_bytes: int = SHARD_BYTES,
) -> list[Path]:
    """Write ``<split>-00000-of-0000N.parquet`` files and return their paths, in order.

    Args:
        folder: Where they go; exists.
        split: First part of their names.
        rows: Rows in the order in which they shall be read; taken one by one.
        schema: Of the rows.
        shard_bytes: Most bytes of images in one file.
    """
    unnamed: list[Path] = []
    groups = _groups(rows)
    group = next(groups, None)
    while group is not None:
        unnamed.append(folder / f"{split}-{len(unnamed):05d}.parquet")
        written_bytes = 0
        with _writer(unnamed[-1], schema) as writer:
            while group is not None and (
                written_bytes == 0 or written_bytes + _size_bytes(group) <= shard_bytes
            ):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                written_bytes += _size_bytes(group)
                group = next(groups, None)
    # How many there are is known only now, and the names say it.
    return [path.rename(folder / f"{path.stem}-of-{len(unnamed):05d}.parquet") for path in unnamed]


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        # JPEGs do not get smaller, and no two of them are the same.
        compression=dict.fromkeys(_TEXT_PATHS, "zstd") | {"image.bytes": "none"},
        use_dictionary=list(_TEXT_PATHS),
        write_statistics=list(_TEXT_PATHS),
    )


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size_bytes = 0
    for row in rows:
        group.append(row)
        size_bytes += _size_bytes([row])
        if size_bytes >= ROW_GROUP_BYTES or len(group) == ROW_GROUP_ROWS:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _size_bytes(group: Iterable[Row]) -> int:
    return sum(len(row["image"]["bytes"]) for row in group)
