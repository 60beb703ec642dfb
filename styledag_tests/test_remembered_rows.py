"""Rows of unchanged inputs are those of the last build, and no others are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from styledag.manifest import VOLATILE, Manifest, Rejection, table_of
from styledag.remembered_rows import remembered_rows


@dataclass(frozen=True, kw_only=True)
class Word:
    name: str
    etag: str = field(default="", metadata=VOLATILE)

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Length:
    of: Word
    letters: int

    @property
    def key(self) -> str:
        return self.of.name


class Lengths:
    """Makes lengths of words, rejects those with a blank, and remembers what it made."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.made: list[str] = []

    def __call__(self, *names: str, made_by: str = "1", etag: str = "", gone: str = "") -> Manifest:
        words = [Word(name=name, etag=etag) for name in names]

        def make(new: Sequence[int]) -> list[Length | Rejection]:
            self.made = [words[at].name for at in new]
            return [
                Rejection(subject=words[at].name, reason="blank")
                if " " in words[at].name
                else Length(of=Word(name=words[at].name), letters=len(words[at].name))
                for at in new
            ]

        def is_there(kept: pa.Table) -> pa.Array:
            return pc.not_equal(pc.struct_field(kept["of"], "name"), gone)

        return remembered_rows(
            table_of(words, Word),
            Length,
            make,
            key="of.name",
            made_by=made_by,
            file=self.file,
            is_there=is_there,
        )


def test_only_new_inputs_and_rejected_ones_are_made(tmp_path: Path) -> None:
    lengths = Lengths(tmp_path / "kept" / "rows.arrow")
    for names, made in (
        (("b", "aa", "c d"), ["b", "aa", "c d"]),
        (("b", "aa", "c d"), ["c d"]),
        (("e", "b", "aa"), ["e"]),
        (('é\n"', "b"), ['é\n"']),
        (("b", "aa"), ["aa"]),
    ):
        found = lengths(*names)
        assert lengths.made == made
        assert found == Lengths(None)(*names)
        assert [row.letters for row in found.rows] == [
            len(name) for name in sorted(names) if " " not in name
        ]


def test_what_is_volatile_makes_nothing_anew(tmp_path: Path) -> None:
    lengths = Lengths(tmp_path / "rows.arrow")
    lengths("a", etag="1")
    lengths("a", etag="2")
    assert lengths.made == []


@pytest.mark.parametrize("change", [{"made_by": "2"}, {"gone": "a"}, None])
def test_rows_made_otherwise_gone_or_damaged_are_made_anew(
    tmp_path: Path, change: dict[str, str] | None
) -> None:
    lengths = Lengths(tmp_path / "rows.arrow")
    lengths("a")
    if change is None:
        (tmp_path / "rows.arrow").write_bytes(b"ARROW1")
    lengths("a", **(change or {}))
    assert lengths.made == ["a"]


def test_no_inputs_are_no_rows(tmp_path: Path) -> None:
    assert len(Lengths(tmp_path / "rows.arrow")().rows) == 0
