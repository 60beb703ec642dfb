from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from styledag.dataset.columns import FRAMING_COLUMNS, TEXT_COLUMNS, dataset_schema
from styledag.dataset.shards import write_shards


def rows(sizes_bytes: list[int]) -> Iterator[dict]:
    for number, size_bytes in enumerate(sizes_bytes):
        sizes = dict.fromkeys(FRAMING_COLUMNS, 1)
        text = dict.fromkeys(TEXT_COLUMNS, "") | {"id": f"{number:04d}"}
        yield {"image": {"bytes": bytes(size_bytes), "path": f"{number}.jpg"}, **text, **sizes}


def ids(path: Path) -> list[str]:
    return pq.read_table(path, columns=["id"]).column("id").to_pylist()


def test_shards_are_named_by_their_number_and_keep_the_order(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("styledag.dataset.shards.ROW_GROUP_BYTES", 100)
    paths = write_shards(tmp_path, "train", rows([60] * 10), dataset_schema(), shard_bytes=240)
    assert [path.name for path in paths] == [
        "train-00000-of-00003.parquet",
        "train-00001-of-00003.parquet",
        "train-00002-of-00003.parquet",
    ]
    assert sorted(tmp_path.iterdir()) == paths
    assert [each for path in paths for each in ids(path)] == [
        f"{number:04d}" for number in range(10)
    ]


def test_image_larger_than_a_shard_has_one_of_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("styledag.dataset.shards.ROW_GROUP_BYTES", 1)
    paths = write_shards(tmp_path, "train", rows([10, 900, 10]), dataset_schema(), shard_bytes=50)
    assert [ids(path) for path in paths] == [["0000"], ["0001"], ["0002"]]


def test_row_groups_stay_small(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("styledag.dataset.shards.ROW_GROUP_BYTES", 1000)
    (path,) = write_shards(tmp_path, "train", rows([400] * 9), dataset_schema())
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(index).num_rows for index in range(groups.num_row_groups)] == [3] * 3


def test_no_rows_are_no_file(tmp_path: Path) -> None:
    assert write_shards(tmp_path, "validation", rows([]), dataset_schema()) == []
    assert list(tmp_path.iterdir()) == []
