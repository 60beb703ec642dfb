"""Manifests whose rows are made of single rows: only those of new inputs are made anew."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from styledag.manifest import Manifest, Rejection, Row, StoredRows, arrow_schema, table_of
from styledag.store.files import replaced
from styledag.store.row_digest import rows_in_json

_INPUT, _MADE_BY = "input", b"made_by"


def remembered_rows(
    inputs: pa.Table,
    row_type: type[Row],
    make: Callable[[Sequence[int]], Sequence[Row | Rejection]],
    *,
    key: str,
    made_by: str,
    file: Path | None,
    is_there: Callable[[pa.Table], pa.Array] | None = None,
) -> Manifest[Row]:
    """Return a row or a rejection of each input; rows of the last build where it was the same.

    Args:
        inputs: One row an input, no two of them the same.
        row_type: What the rows are.
        make: Makes those of the inputs at some positions, one for each, in this order.
        key: Field that is the rows' key, such as ``origin.url``.
        made_by: All that decides a row beside its input.
        file: Where rows are kept for the next build, if anywhere; may be removed at any time.
        is_there: Returns which rows of the last build may be used; all when left out.
    """
    names = rows_in_json(inputs)
    before = None if file is None else _read(file, made_by, row_type)
    if before is not None and is_there is not None:
        before = before.filter(is_there(before))
    known = pa.array([], pa.string()) if before is None else before[_INPUT]
    places = pc.index_in(names, value_set=known)
    # Combined, as pyarrow before 26.0.1 crashes where there are no chunks.
    new = pc.indices_nonzero(pc.is_null(places).combine_chunks()).to_pylist()
    made = make(new)
    rows = [each for each in made if not isinstance(each, Rejection)]
    made_of = [at for at, each in zip(new, made, strict=True) if not isinstance(each, Rejection)]
    now = table_of(rows, row_type)
    schema = now.schema
    now = now.append_column(_INPUT, names.take(pa.array(made_of, pa.int64())))
    if before is not None:
        now = pa.concat_tables([before.take(pc.drop_null(places)), now])
    if file is not None and (rows or before is None or len(before) != len(now)):
        _write(file, now.replace_schema_metadata({_MADE_BY: made_by}))
    kept = now.drop_columns([_INPUT]).replace_schema_metadata(schema.metadata)
    rejected = tuple(each for each in made if isinstance(each, Rejection))
    return Manifest(StoredRows.by_key(kept, row_type, key), rejected)


def _read(file: Path, made_by: str, row_type: type[Row]) -> pa.Table | None:
    try:
        with pa.OSFile(str(file)) as opened, pa.ipc.open_file(opened) as kept:
            table = kept.read_all()
    except (OSError, pa.ArrowException):
        return None
    stated = table.schema.metadata or {}
    table = table.replace_schema_metadata(None)
    expected = arrow_schema(row_type).append(pa.field(_INPUT, pa.string()))
    if stated.get(_MADE_BY) != made_by.encode() or table.schema != expected:
        return None
    return table


def _write(file: Path, table: pa.Table) -> None:
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        replaced(file) as partial,
        pa.ipc.new_file(partial, table.schema, options=options) as writer,
    ):
        writer.write_table(table)
