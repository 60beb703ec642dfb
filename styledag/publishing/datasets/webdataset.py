"""A dataset as WebDataset shards: tar files in which files of one stem are one sample.

https://github.com/webdataset/webdataset#the-webdataset-format
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import yaml

from styledag.dataset.markdown import escape_markdown
from styledag.dataset.read import DatasetRow
from styledag.publishing.datasets.settings import TrainerSettings
from styledag.publishing.datasets.sidecars import Written, captions_of, counted

CARD_FILE = "README.md"
SHARD_BYTES = 500_000_000
"""Most bytes of images in a shard, unless one image alone is larger."""


def write_webdataset(
    rows: Iterable[DatasetRow],
    folder: Path,
    target: Path,
    settings: TrainerSettings,
    *,
    shard_bytes: int = SHARD_BYTES,
) -> Written:
    """Write ``<split>-000000.tar`` and a list of shards for each split; return the counts.

    A sample is ``<id>.jpg``, ``<id>.txt`` (its caption) and ``<id>.json`` (all captions and where
    the image comes from). ``README.md`` names the shards of each split, and ``<split>.json`` lists
    them with their samples as the library's ``wids`` reads them. Tar headers contain neither time
    nor user: equal datasets are equal bytes.
    """
    del target  # shards are listed by name
    written = Written()
    for split, samples in groupby(counted(rows, written), key=lambda row: row.split):
        shards = []
        for number, shard in enumerate(_shards(samples, shard_bytes)):
            name = f"{split}-{number:06d}.tar"
            count = _write_shard(folder / name, shard, written)
            shards.append({"url": name, "nsamples": count})
        index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": settings.name}
        text = json.dumps(index | {"shardlist": shards}, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{split}.json").write_text(text, encoding="utf-8")
    (folder / CARD_FILE).write_text(_card(settings.name, written), encoding="utf-8")
    return written


def _card(name: str, written: Written) -> str:
    """Return a card that states which files are the dataset, for the Hub and ``load_dataset``.

    Without it they take the lists of shards for the data, which are as many as the shards.
    """
    files = [{"split": split, "path": f"{split}-*.tar"} for split in written.images]
    header = {"configs": [{"config_name": "default", "data_files": files}]}
    front = yaml.safe_dump(header, sort_keys=False)
    return f"---\n{front}---\n\n# {escape_markdown(name)}\n\nWebDataset shards.\n"


def _shards(rows: Iterable[DatasetRow], shard_bytes: int) -> Iterator[Iterator[DatasetRow]]:
    """Yield the rows of each shard; a shard is read to its end before the next."""
    size_bytes, number = 0, 0

    def shard_of(row: DatasetRow) -> int:
        nonlocal size_bytes, number
        if size_bytes and size_bytes + len(row.jpeg) > shard_bytes:
            size_bytes, number = 0, number + 1
        size_bytes += len(row.jpeg)
        return number

    for _, shard in groupby(rows, key=shard_of):
        yield shard


def _write_shard(path: Path, rows: Iterable[DatasetRow], written: Written) -> int:
    count = 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows:
            captions = captions_of(row)
            origin = row.origin
            facts = {
                "captions": captions,
                "caption_source": row.caption_source,
                "url": origin.url,
                "page_url": origin.page_url,
                "title": origin.title,
                "licence": origin.licence,
                "author": origin.author,
            }
            _add(tar, f"{row.id}.jpg", row.jpeg)
            _add(tar, f"{row.id}.json", json.dumps(facts, ensure_ascii=False).encode())
            _add(tar, f"{row.id}.txt", captions[0].encode())
            written.variants += len(row.variants)
            count += 1
    return count


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644
    tar.addfile(member, io.BytesIO(content))
