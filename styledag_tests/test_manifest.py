"""Manifests: typed rows survive, counts add up, order and volatile columns decide nothing."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import styledag.manifest
from styledag.collect.records import Origin, RawImage
from styledag.errors import DataError
from styledag.images.records import JpegImage
from styledag.manifest import KEPT, Manifest, Rejection, StoredRows, read_rows, table_of, write_rows
from styledag.store.digest import folder_digest


def raw_image(url: str, etag: str = "") -> RawImage:
    return RawImage(
        origin=Origin(url=url, title="Cat, Ünïcode \U0001f408"),
        sha256=url * 2,
        sha1=url,
        size_bytes=3,
        content_type="image/png",
        etag=etag,
    )


def test_rows_survive_with_nested_and_repeated_fields(tmp_path: Path) -> None:
    row = JpegImage(
        origin=Origin(url="u"),
        raw_sha256="r",
        sha256="s",
        width_px=64,
        height_px=64,
        raw_width_px=72,
        raw_height_px=70,
        crop_left_px=4,
        crop_top_px=3,
        raw_format="PNG",
        notes=("icc_ignored",),
    )
    manifest = Manifest((row,), (Rejection(subject="v", reason="truncated"),))
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path, JpegImage) == manifest


def test_counts_add_up() -> None:
    rejected = tuple(Rejection(subject=str(i), reason="gone") for i in range(3))
    manifest = Manifest((raw_image("a"), raw_image("b")), rejected)
    assert manifest.facts == {"found": 5, "kept": 2, "rejected_gone": 3}


def test_stored_rows_are_counted_read_by_column_and_written_without_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Manifest((raw_image("b", etag="1"), raw_image("a")))
    before.write(tmp_path)
    made: list[int] = []
    rows_of = styledag.manifest.rows_of

    def counting(table: pa.Table, row_type: type[RawImage]) -> list[RawImage]:
        made.append(0 if row_type is Rejection else table.num_rows)
        return rows_of(table, row_type)

    monkeypatch.setattr(styledag.manifest, "rows_of", counting)
    read = Manifest.read(tmp_path, RawImage)
    for name in ("origin.url", "size_bytes", "etag"):
        assert read.column(name) == before.column(name)
    (tmp_path / "again").mkdir()
    read.write(tmp_path / "again")
    assert read.facts == before.facts
    assert sum(made) == 0
    assert (read.rows[:1], sum(made)) == (before.rows[:1], 1)
    assert read == before
    assert sum(made) == 3
    assert Manifest.read(tmp_path / "again", RawImage) == before


def test_columns_of_a_file_from_before_a_field_was_added_have_it(tmp_path: Path) -> None:
    before = Manifest((raw_image("a"),))
    before.write(tmp_path)
    table = pq.read_table(tmp_path / KEPT)
    origin = table["origin"].combine_chunks()
    older = {
        field.name: origin.field(field.name) for field in origin.type if field.name != "author"
    }
    struct = pa.StructArray.from_arrays(list(older.values()), list(older))
    pq.write_table(table.set_column(0, "origin", struct), tmp_path / KEPT)
    read = Manifest.read(tmp_path, RawImage)
    assert read.column("origin.author") == [""]
    assert read == before


def test_order_and_volatile_columns_leave_the_version(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "other")]
    manifests = [
        Manifest((raw_image("a", etag="1"), raw_image("b"))),
        Manifest((raw_image("b"), raw_image("a", etag="2"))),
        Manifest((raw_image("b"), raw_image("c"))),
    ]
    for folder, manifest in zip(folders, manifests, strict=True):
        folder.mkdir()
        manifest.write(folder)
    one, two, other = (folder_digest(folder) for folder in folders)
    assert one == two != other


def test_the_parquet_writer_leaves_the_version(tmp_path: Path) -> None:
    Manifest((raw_image("a"), raw_image("b"))).write(tmp_path)
    before = folder_digest(tmp_path)
    table = pq.read_table(tmp_path / KEPT)
    pq.write_table(table, tmp_path / KEPT, compression="none", row_group_size=1)
    assert folder_digest(tmp_path) == before


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="more than once"):
        Manifest((raw_image("a"), raw_image("a")))
    twice = table_of([raw_image("b"), raw_image("a"), raw_image("a")], RawImage)
    with pytest.raises(ValueError, match="more than once"):
        StoredRows.by_key(twice, RawImage, "origin.url")
    in_order = StoredRows.by_key(twice.slice(0, 2), RawImage, "origin.url")
    assert in_order == (raw_image("a"), raw_image("b"))


def test_an_empty_manifest_can_be_read(tmp_path: Path) -> None:
    Manifest[RawImage](()).write(tmp_path)
    assert Manifest.read(tmp_path, RawImage).facts == {"found": 0, "kept": 0}


def test_a_file_of_other_rows_is_refused(tmp_path: Path) -> None:
    Manifest((raw_image("a"),)).write(tmp_path)
    with pytest.raises(DataError, match=r"JpegImage.*`styledag run` makes it anew"):
        Manifest.read(tmp_path, JpegImage)


def test_a_field_that_an_older_file_lacks_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / KEPT
    Manifest((raw_image("a"),)).write(tmp_path)
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        del row["origin"]["caption"]
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert Manifest.read(tmp_path, RawImage).rows == (raw_image("a"),)


@dataclass(frozen=True)
class Measured:
    at: Origin
    share: float | None
    count: int | None = None
    names: tuple[str, ...] = ()


def test_values_that_may_be_missing_survive(tmp_path: Path) -> None:
    rows = [
        Measured(Origin(url="a"), None, 2, ("x", "y")),
        Measured(Origin(url="b", author="A"), 0.5),
    ]
    write_rows(tmp_path / "rows.parquet", rows, Measured)
    assert read_rows(tmp_path / "rows.parquet", Measured) == rows
    write_rows(tmp_path / "plain.parquet", rows[1:], Measured)
    table = pq.read_table(tmp_path / "plain.parquet").to_pylist()
    assert table[0]["at"]["author"] == "A"
    assert table[0]["names"] == []


def test_the_first_rows_alone_can_be_read(tmp_path: Path) -> None:
    manifest = Manifest(tuple(raw_image(f"{at:02}") for at in range(9)))
    manifest.write(tmp_path)
    assert tuple(read_rows(tmp_path / KEPT, RawImage, most=4)) == manifest.rows[:4]
    assert tuple(read_rows(tmp_path / KEPT, RawImage, most=20)) == manifest.rows


def test_a_nested_field_that_an_older_file_lacks_keeps_its_default(tmp_path: Path) -> None:
    Manifest((raw_image("a"),)).write(tmp_path)
    rows = pq.read_table(tmp_path / KEPT).to_pylist()
    for row in rows:
        del row["origin"]["caption"]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / KEPT)
    assert read_rows(tmp_path / KEPT, RawImage) == [raw_image("a")]
