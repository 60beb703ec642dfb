"""Read by the convention that https://github.com/webdataset/webdataset documents."""

import json
import tarfile
from itertools import groupby
from pathlib import Path

import pytest
from datasets import load_dataset

from styledag.dataset.read import read_dataset
from styledag.publishing.datasets.export import export_dataset
from styledag.publishing.datasets.settings import TrainerSettings
from styledag.publishing.datasets.webdataset import write_webdataset
from styledag_tests.publishing.datasets.conftest import Example


def samples(shard: Path) -> list[dict]:
    """The samples of a shard: consecutive files of one key, by their extension."""
    with tarfile.open(shard) as tar:
        files = []
        for member in tar:
            key, _, extension = member.name.partition(".")
            assert member.isreg()
            files.append((key, extension, tar.extractfile(member).read()))
    return [
        {"__key__": key, **{extension: content for _, extension, content in group}}
        for key, group in groupby(files, key=lambda file: file[0])
    ]


def shards(folder: Path, split: str) -> list[Path]:
    """The shards that the list for ``wids`` names, with the samples that it states."""
    index = json.loads((folder / f"{split}.json").read_text())
    assert index["wids_version"] == 1
    paths = [folder / shard["url"] for shard in index["shardlist"]]
    assert [len(samples(path)) for path in paths] == [s["nsamples"] for s in index["shardlist"]]
    return paths


def test_samples_are_images_with_captions_and_origins(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"

    export_dataset(example.folder, target, "webdataset", settings)

    for split, images in example.splits.items():
        read = [sample for path in shards(target, split) for sample in samples(path)]
        assert [sample["__key__"] for sample in read] == sorted(images)
        for sample in read:
            image = images[sample["__key__"]]
            assert sample["jpg"] == example.jpeg(sample["__key__"])
            assert sample["txt"].decode() == image.caption
            facts = json.loads(sample["json"])
            assert facts["captions"] == [image.caption, *image.variants]
            assert facts["licence"] == image.image.origin.licence
            assert facts["page_url"] == image.image.origin.page_url


def test_the_folder_is_a_dataset_of_its_images_and_not_of_its_lists(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    export_dataset(example.folder, target, "webdataset", settings)

    loaded = load_dataset(str(target), cache_dir=str(tmp_path / "cache"))

    assert loaded.keys() == example.splits.keys()
    for split, images in example.splits.items():
        captions = dict(zip(loaded[split]["__key__"], loaded[split]["txt"], strict=True))
        assert captions == {id_: image.caption for id_, image in images.items()}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves shards open
def test_webdataset_itself_reads_the_shards(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    webdataset = pytest.importorskip("webdataset")
    target = tmp_path / "export"

    export_dataset(example.folder, target, "webdataset", settings)

    for split, images in example.splits.items():
        paths = [str(path) for path in shards(target, split)]
        read = webdataset.WebDataset(paths, shardshuffle=False).decode().to_tuple("txt", "jpg")
        expected = {image.caption: example.jpeg(id_) for id_, image in images.items()}
        assert {caption: bytes(jpeg) for caption, jpeg in read} == expected


def test_shards_keep_to_their_size(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    size_bytes = len(example.jpeg(next(iter(example.splits["train"]))))
    folder = tmp_path / "shards"
    folder.mkdir()

    rows = read_dataset(example.folder)
    write_webdataset(rows, folder, folder, settings, shard_bytes=2 * size_bytes + 100)

    paths = shards(folder, "train")
    read = [[sample["__key__"] for sample in samples(path)] for path in paths]
    assert [key for shard in read for key in shard] == sorted(example.splits["train"])
    assert {len(shard) for shard in read[:-1]} == {2}
    assert [path.name for path in paths][:2] == ["train-000000.tar", "train-000001.tar"]


def test_equal_datasets_are_equal_bytes(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        export_dataset(example.folder, tmp_path / name, "webdataset", settings)

    first, second = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("a", "b")
    )
    assert first == second
