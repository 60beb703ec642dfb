"""Rows of a table as they are digested: as JSON, whoever wrote the Parquet file."""

import hashlib
import json
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_BATCH_ROWS, _READ_BYTES = 8_192, 16_000_000
_ESCAPED = r"[^ !#-\[\]-~]"
"""What JSON writes otherwise than it is."""


def digested_rows(path: Path) -> Iterator[bytes | memoryview]:
    """Yield a Parquet file's columns and rows as JSON, a few megabytes at a time."""
    with pq.ParquetFile(path) as file:
        columns = _lasting(file.schema_arrow)
        yield json.dumps(columns).encode()
        for groups in _together(file.metadata):
            # Not iter_batches, which reads row groups ahead without bound.
            table = file.read_row_groups(groups, columns=columns)
            for batch in table.combine_chunks().to_batches(max_chunksize=_BATCH_ROWS):
                yield _text(_in_json(batch.to_struct_array()))


def rows_in_json(table: pa.Table) -> pa.ChunkedArray:
    """Return the JSON of each row as it is digested: without what is volatile, keys sorted."""
    batches = table.select(_lasting(table.schema)).to_batches(max_chunksize=_BATCH_ROWS)
    arrays = [_in_json(batch.to_struct_array()) for batch in batches if batch.num_rows]
    return pa.chunked_array(arrays, pa.string())


def _lasting(schema: pa.Schema) -> list[str]:
    """Return the columns that count as content."""
    volatile = (schema.metadata or {}).get(b"styledag.volatile", b"").decode().split(",")
    return [name for name in schema.names if name not in volatile]


def _text(array: pa.StringArray) -> memoryview:
    """Return the UTF-8 of strings of which none is null, one after the other, without a copy."""
    _, offsets, data = array.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(data or b"")[ends[array.offset] : ends[array.offset + len(array)]]


def _together(file: pq.FileMetaData) -> Iterator[list[int]]:
    """Yield the numbers of row groups that are read at once: a few megabytes, or one group."""
    groups: list[int] = []
    size_bytes = 0
    for at in range(file.num_row_groups):
        group_bytes = file.row_group(at).total_byte_size
        if groups and size_bytes + group_bytes > _READ_BYTES:
            yield groups
            groups, size_bytes = [], 0
        groups.append(at)
        size_bytes += group_bytes
    if groups:
        yield groups


def _in_json(array: pa.Array) -> pa.Array:
    """Return the JSON of each value as ``json.dumps`` writes it, keys sorted, without its loops."""
    kind = array.type
    if not array.null_count:
        if pa.types.is_struct(kind) and kind.num_fields:
            return _rows_in_json(array)
        if pa.types.is_string(kind):
            if not pc.any(pc.match_substring_regex(pc.unique(array), _ESCAPED)).as_py():
                return _joined('"', array, '"')
            return pa.array(map(encode_basestring_ascii, array.to_pylist()), pa.string())
        if pa.types.is_binary(kind):
            digests = (hashlib.sha256(each.as_buffer()).hexdigest() for each in array)
            return pa.array([f'"{digest}"' for digest in digests], pa.string())
        if pa.types.is_integer(kind):
            return array.cast(pa.string())
        if pa.types.is_list(kind) and len(array):
            ends = pc.cumulative_sum(array.value_lengths())
            starts = pa.concat_arrays([pa.array([0], ends.type), ends])
            lists = pa.ListArray.from_arrays(starts, _in_json(array.flatten()))
            return _joined("[", pc.binary_join(lists, ", "), "]")
    encode = json.JSONEncoder(sort_keys=True, default=_jsonable).encode
    return pa.array(map(encode, array.to_pylist()), pa.string())


def _rows_in_json(rows: pa.StructArray) -> pa.Array:
    parts: list[Any] = []
    for name in sorted(field.name for field in rows.type):
        parts += [", " if parts else "{", f"{json.dumps(name)}: ", _in_json(rows.field(name))]
    return _joined(*parts, "}")


def _joined(*parts: Any) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _jsonable(value: Any) -> str:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return str(value)
