"""A Parquet file's digest is that of its rows as ``json.dumps`` writes them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styledag.store.digest import file_digest

TEXTS = [
    "",
    "plain",
    'quo"te',
    "back\\slash",
    "tab\t",
    "del\x7f",
    "caf\xe9",
    "\u2028\U0001f600",
    "%s",
]


def digest(rows: list[dict[str, Any]], names: list[str]) -> str:
    """Return the digest, row by row and without Arrow."""

    def plain(value: Any) -> str:
        return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)

    lines = [json.dumps(row, sort_keys=True, default=plain) for row in rows]
    return hashlib.sha256("".join([json.dumps(names), *lines]).encode()).hexdigest()


ROWS: dict[str, list[dict[str, Any]]] = {
    "texts": [{"b": text, "a": "plain"} for text in TEXTS],
    "null texts": [{"a": text} for text in (*TEXTS, None)],
    "numbers": [{"i": i, "f": f} for i, f in ((1, 0.1), (-(2**62), 1e300), (0, float("nan")))],
    "null numbers": [{"i": None, "f": None, "t": True}, {"i": 3, "f": 2.0, "t": None}],
    "lists": [{"a": [], "n": [1]}, {"a": ["x", 'y"'], "n": []}, {"a": ["z"], "n": [2, 3]}],
    "null lists": [{"a": None}, {"a": ["x", None]}],
    "records": [
        {"o": {"url%": "u", "b": b"\x00", "list": [{"k": 1}]}, "z": 1},
        {"o": {"url%": "v", "b": b"", "list": []}, "z": 2},
    ],
    "null records": [{"o": None}, {"o": {"a": None, "b": "c"}}],
    "none": [{"a": "x"}][:0],
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("times", [1, 700])
def test_digest_follows_from_the_rows_alone(
    tmp_path: Path, rows: list[dict[str, Any]], times: int
) -> None:
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pylist(rows * times) if rows else pa.table({"a": pa.array([], "string")})
    pq.write_table(table, path, row_group_size=256)
    assert file_digest(path) == digest(rows * times, table.schema.names)
