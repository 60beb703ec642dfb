from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from styledag.dataset.columns import FRAMING_COLUMNS, TEXT_COLUMNS, dataset_schema
from styledag.dataset.shards import write_shards


def written(folder: Path, split: str, sizes_bytes: list[int], **most: int) -> list[Path]:
    schema = dataset_schema()
    named = [f"{number:04d}" for number in range(len(sizes_bytes))]
    sizes = dict.fromkeys(FRAMING_COLUMNS, [1] * len(named))
    text = dict.fromkeys(TEXT_COLUMNS, [""] * len(named)) | {
        "id": named,
        "variants": [()] * len(named),
    }
    rows = pa.table({**text, **sizes}, schema=schema.remove(0))
    contents = dict(zip(named, map(bytes, sizes_bytes), strict=True))
    return write_shards(folder, split, rows, contents.__getitem__, **most)


def ids(path: Path) -> list[str]:
    return pq.read_table(path, columns=["id"]).column("id").to_pylist()


def test_shards_are_named_by_their_number_and_keep_the_order(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("styledag.dataset.shards.ROW_GROUP_BYTES", 100)
    paths = written(tmp_path, "train", [60] * 10, shard_bytes=240)
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
    paths = written(tmp_path, "train", [10, 900, 10], shard_bytes=50)
    assert [ids(path) for path in paths] == [["0000"], ["0001"], ["0002"]]


def test_row_groups_stay_small(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("styledag.dataset.shards.ROW_GROUP_BYTES", 1000)
    (path,) = written(tmp_path, "train", [400] * 9)
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(index).num_rows for index in range(groups.num_row_groups)] == [3] * 3


def test_no_rows_are_no_file(tmp_path: Path) -> None:
    assert written(tmp_path, "validation", []) == []
    assert list(tmp_path.iterdir()) == []
