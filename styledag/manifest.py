"""The typed table, one row an image, that an image stage hands to the next."""

import dataclasses
import types
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from styledag.collector import many_objects
from styledag.errors import DataError

KEPT = "manifest.parquet"
REJECTED = "rejected.parquet"
VOLATILE = {"volatile": True}
"""Field metadata of what may change without the content changing, such as an ETag."""


class ManifestRow(Protocol):
    """A frozen dataclass of strings, numbers, tuples and further such dataclasses."""

    __dataclass_fields__: typing.ClassVar[dict[str, Any]]

    @property
    def key(self) -> str:
        """What the row is unique by and sorted by."""


Row = TypeVar("Row", bound=ManifestRow)


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """One image that a stage leaves out.

    Attributes:
        subject: What was rejected: a URL or a sha256.
        reason: Short snake-case word under which it is counted.
        detail: What was found, for a person.
    """

    subject: str
    reason: str
    detail: str = ""

    @property
    def key(self) -> str:
        """Unique by subject."""
        return self.subject


class StoredRows(Sequence[Row]):
    """Rows in columns, of which the objects are made when one is first asked for.

    Args:
        table: The columns, sorted by the rows' key.
        row_type: What the rows are.
    """

    def __init__(self, table: pa.Table, row_type: type[Row]) -> None:
        self.table = table
        self.row_type = row_type

    @classmethod
    def by_key(cls, table: pa.Table, row_type: type[Row], key: str) -> "StoredRows[Row]":
        """Return rows in the order of their key.

        Args:
            table: The columns, in any order.
            row_type: What the rows are.
            key: The field that is their key, such as ``origin.url``.

        Raises:
            ValueError: If two rows have one key.
        """
        table = table.combine_chunks()
        keys = field_of(table, key)
        if pc.count_distinct(keys).as_py() < len(keys):
            _refuse_twice(keys.to_pylist())
        return cls(table.take(pc.sort_indices(keys)), row_type)

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        return tuple(rows_of(self.table, self.row_type))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice) and "_rows" not in self.__dict__:
            return tuple(rows_of(self.table[at], self.row_type))
        return self._rows[at]

    def __eq__(self, other: object) -> bool:
        return self._rows == (other._rows if isinstance(other, StoredRows) else other)

    __hash__ = None  # type: ignore[assignment]


def _refuse_twice(keys: Sequence[str]) -> None:
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise ValueError(f"manifest has {len(twice)} keys more than once, first {twice[0]!r}")


@dataclass(frozen=True)
class Manifest(Generic[Row]):
    """The rows a stage kept and those it rejected; sorted by key, so that order says nothing."""

    rows: Sequence[Row]
    rejected: tuple[Rejection, ...] = ()

    def __post_init__(self) -> None:
        rejected = tuple(sorted(self.rejected, key=lambda row: row.key))
        object.__setattr__(self, "rejected", rejected)
        if not isinstance(self.rows, StoredRows):
            rows = tuple(sorted(self.rows, key=lambda row: row.key))
            object.__setattr__(self, "rows", rows)
            _refuse_twice([row.key for row in rows])

    @property
    def facts(self) -> dict[str, int]:
        """Counts: ``found`` = ``kept`` + the sum of ``rejected_<reason>``."""
        reasons = Counter(f"rejected_{rejection.reason}" for rejection in self.rejected)
        kept = len(self.rows)
        return {"found": kept + len(self.rejected), "kept": kept, **dict(sorted(reasons.items()))}

    def write(self, folder: Path) -> None:
        """Write ``manifest.parquet`` and ``rejected.parquet`` into a folder."""
        _write_table(folder / KEPT, self.table)
        write_rows(folder / REJECTED, self.rejected, Rejection)

    @property
    def table(self) -> pa.Table:
        """The rows as columns."""
        if isinstance(self.rows, StoredRows):
            return self.rows.table
        return table_of(self.rows, type(self.rows[0]) if self.rows else Rejection)

    def column(self, name: str) -> list[Any]:
        """Return a field of every row, without their objects where they are stored.

        Args:
            name: Such as ``origin.url``.
        """
        if not isinstance(self.rows, StoredRows):
            return list(map(attrgetter(name), self.rows))
        if not len(self.rows):
            return []
        column = field_of(self.rows.table, name).combine_chunks()
        return _values(column, tuple[str] if pa.types.is_list(column.type) else None)

    @classmethod
    def read(cls, folder: Path, row_type: type[Row]) -> "Manifest[Row]":
        """Read what :meth:`write` wrote; rows become objects when one is first asked for."""
        table = _read_table(folder / KEPT, row_type)
        if table.num_rows and table.schema != arrow_schema(row_type):
            table = table_of(rows_of(table, row_type), row_type)  # fields were added since
        return cls(
            StoredRows(table, row_type),
            tuple(read_rows(folder / REJECTED, Rejection)),
        )


def write_rows(path: Path, rows: Iterable[Any], row_type: type[Any]) -> None:
    """Write dataclass rows as Parquet, with a schema from their types."""
    _write_table(path, table_of(list(rows), row_type))


def field_of(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column, or a field inside of one, such as ``origin.url``."""
    first, *inside = name.split(".")
    return pc.struct_field(table[first], inside) if inside else table[first]


def _write_table(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd")


def table_of(rows: Sequence[Any], row_type: type[Any]) -> pa.Table:
    """Return dataclass rows as columns, with a schema from their types."""
    return pa.Table.from_arrays(_columns(rows, row_type), schema=row_schema(row_type))


def row_schema(row_type: type[Any]) -> pa.Schema:
    """Return the schema of a table of rows: the fields, and which of them are volatile."""
    volatile = [f.name for f in dataclasses.fields(row_type) if f.metadata.get("volatile")]
    return arrow_schema(row_type).with_metadata({"styledag.volatile": ",".join(volatile)})


def read_rows(path: Path, row_type: type[Row], *, most: int | None = None) -> list[Row]:
    """Read dataclass rows from Parquet.

    Args:
        path: What :func:`write_rows` wrote.
        row_type: What its rows are.
        most: Only so many of the first rows; all when left out.

    Raises:
        DataError: If the file's columns are not the row type's fields.
    """
    return rows_of(_read_table(path, row_type).slice(0, most), row_type)


@many_objects()
def rows_of(table: pa.Table, row_type: type[Row]) -> list[Row]:
    """Return columns, as :func:`table_of` made them, as dataclass rows."""
    if table.num_rows == 0:
        return []
    return _values(pa.concat_arrays(table.to_struct_array().chunks), row_type)


def _read_table(path: Path, row_type: type[Any]) -> pa.Table:
    table = pq.read_table(path)
    expected = arrow_schema(row_type)
    if table.num_rows and table.schema.names != expected.names:
        raise DataError(
            f"{path} has columns {table.schema.names}, but {row_type.__name__} needs "
            f"{expected.names}: another version of styledag wrote it; `styledag run` makes it anew"
        )
    return table


def arrow_schema(row_type: Any) -> pa.Schema:
    """Return the Arrow schema of a row dataclass."""
    return pa.schema([pa.field(name, _arrow_type(hint)) for name, hint in _hints(row_type).items()])


_SCALARS: Mapping[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


@cache
def _hints(row_type: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(row_type)
    return {f.name: hints[f.name] for f in dataclasses.fields(row_type)}


def _arrow_type(hint: Any) -> pa.DataType:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if _is_row(hint):
        return pa.struct(list(arrow_schema(hint)))
    if typing.get_origin(hint) is tuple:
        return pa.list_(_arrow_type(typing.get_args(hint)[0]))
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return _arrow_type(_present(hint))
    raise TypeError(f"a manifest row cannot hold {hint!r}")


def _is_row(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _present(optional: Any) -> Any:
    """Return what a value that may be ``None`` is otherwise."""
    return next(arg for arg in typing.get_args(optional) if arg is not type(None))


def _columns(rows: Sequence[Any], row_type: Any) -> list[pa.Array]:
    """Return an array for each field: column by column, which is faster than row by row."""
    return [
        _array(list(map(attrgetter(name), rows)), hint) for name, hint in _hints(row_type).items()
    ]


def _array(values: Sequence[Any], hint: Any) -> pa.Array:
    if _is_row(hint):
        return pa.StructArray.from_arrays(_columns(values, hint), fields=list(arrow_schema(hint)))
    return pa.array(values, _arrow_type(hint))


def _row_of(row_type: type[Row], fields: Iterable[tuple[str, Any]]) -> Row:
    """Return a row, of whose fields none is missing, faster than a frozen dataclass makes it."""
    row = object.__new__(row_type)
    row.__dict__.update(fields)
    return row


def _values(array: pa.Array, hint: Any) -> list[Any]:
    if _is_row(hint):
        # A field that was added after the file was written keeps its default.
        known = {
            name: h for name, h in _hints(hint).items() if array.type.get_field_index(name) >= 0
        }
        columns = [_values(array.field(name), inner) for name, inner in known.items()]
        rows = (zip(known, row, strict=True) for row in zip(*columns, strict=True))
        if len(known) < len(_hints(hint)):
            return [hint(**dict(row)) for row in rows]
        return [_row_of(hint, row) for row in rows]
    if typing.get_origin(hint) is tuple:
        if not len(array.flatten()):
            return [()] * len(array)
        return [tuple(value) for value in array.to_pylist()]
    if pa.types.is_string(array.type):
        # A licence or a template is one object in all rows.
        encoded = array.dictionary_encode()
        words = [*encoded.dictionary.to_pylist(), None]
        return [words[at] for at in encoded.indices.fill_null(len(words) - 1).to_pylist()]
    return list(array.to_pylist())
