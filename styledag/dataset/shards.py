"""Write rows with images as Parquet shards, in memory that does not grow with their number."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from styledag.dataset.columns import IMAGE_COLUMN, TEXT_COLUMNS, VARIANTS_COLUMN, dataset_schema
from styledag.manifest import field_of

SHARD_BYTES = 500_000_000
"""Most bytes of images in a shard, unless one row group alone is larger."""
ROW_GROUP_BYTES = 16_000_000
ROW_GROUP_ROWS = 256
_TEXT_PATHS = (*TEXT_COLUMNS, f"{VARIANTS_COLUMN}.list.element")


def write_shards(
    folder: Path,
    split: str,
    rows: pa.Table,
    read: Callable[[str], bytes],
    *,
    shard_bytes: int = SHARD_BYTES,
) -> list[Path]:
    """Write ``<split>-00000-of-0000N.parquet`` files and return their paths, in order.

    Args:
        folder: Where they go; exists.
        split: First part of their names.
        rows: All columns but the images, in the order in which they shall be read.
        read: Returns the image of a row by its ``id``; called row by row. The bytes are stored as
            they are.
        shard_bytes: Most bytes of images in one file.
    """
    unnamed: list[Path] = []
    groups = _groups(rows, read)
    group = next(groups, None)
    while group is not None:
        unnamed.append(folder / f"{split}-{len(unnamed):05d}.parquet")
        written_bytes = 0
        with _writer(unnamed[-1], group.schema) as writer, _behind(writer) as write:
            while group is not None and (
                written_bytes == 0 or written_bytes + _size_bytes(group) <= shard_bytes
            ):
                write(group)
                written_bytes += _size_bytes(group)
                group = next(groups, None)
    # How many there are is known only now, and the names say it.
    return [path.rename(folder / f"{path.stem}-of-{len(unnamed):05d}.parquet") for path in unnamed]


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        # JPEGs do not get smaller, and no two of them are the same.
        compression=dict.fromkeys(_TEXT_PATHS, "zstd") | {f"{IMAGE_COLUMN}.bytes": "none"},
        use_dictionary=list(_TEXT_PATHS),
        write_statistics=list(_TEXT_PATHS),
        # Pages of a few images stay in the processor's cache while they are put together.
        write_batch_size=16,
        data_page_size=1 << 18,
    )


@contextmanager
def _behind(writer: pq.ParquetWriter) -> Iterator[Callable[[pa.Table], None]]:
    """Yield what writes row groups in a thread, each while the images of the next one are read."""
    with ThreadPoolExecutor(1, thread_name_prefix="shards") as thread:
        writing: Future[None] | None = None

        def write(group: pa.Table) -> None:
            nonlocal writing
            if writing is not None:
                writing.result()
            writing = thread.submit(writer.write_table, group)

        yield write
        if writing is not None:
            writing.result()


def _groups(rows: pa.Table, read: Callable[[str], bytes]) -> Iterator[pa.Table]:
    schema = dataset_schema()
    images: list[bytes] = []
    start = size_bytes = 0
    ids = rows["id"].to_pylist()
    for at, name in enumerate(ids, start=1):
        images.append(read(name))
        size_bytes += len(images[-1])
        if size_bytes >= ROW_GROUP_BYTES or len(images) == ROW_GROUP_ROWS or at == len(ids):
            paths = [f"{each}.jpg" for each in ids[start:at]]
            image = pa.StructArray.from_arrays(
                [_binary(images), pa.array(paths, pa.string())],
                fields=list(schema.field(IMAGE_COLUMN).type),
            )
            yield _with_images(rows.slice(start, len(images)), image, schema)
            images, start, size_bytes = [], at, 0


def _binary(values: Sequence[bytes]) -> pa.BinaryArray:
    """Return an array of byte strings, which are copied once and not as a builder grows."""
    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
    return pa.BinaryArray.from_buffers(pa.binary(), len(values), buffers)


def _with_images(rows: pa.Table, image: pa.StructArray, schema: pa.Schema) -> pa.Table:
    columns = [image if name == IMAGE_COLUMN else rows[name] for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def _size_bytes(group: pa.Table) -> int:
    lengths = pc.binary_length(field_of(group, f"{IMAGE_COLUMN}.bytes"))
    return int(pc.sum(lengths).as_py())
