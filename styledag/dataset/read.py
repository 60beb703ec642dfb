"""Read a dataset row by row, without the ``datasets`` library."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from styledag.collect.records import Origin
from styledag.dataset.split import SPLITS, Split
from styledag.errors import DataError

_BATCH_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class DatasetRow:
    """One image of a dataset.

    Attributes:
        id: sha256 of the JPEG.
        text: Caption to train on.
        variants: Further ways to say it.
        jpeg: The image's bytes.
        split: Part of the dataset that it belongs to.
        family: Name of its family of near-duplicates.
        origin: Where it comes from, as far as the dataset holds it.
        caption_source: Where the words come from, such as ``title`` or ``captioner``.
        raw_caption: As its source gave it.
        original_px: Width and height of the original.
        crop_px: What is cut off of the original on the left and above, once it is scaled.
    """

    id: str
    text: str
    jpeg: bytes
    split: Split
    family: str
    origin: Origin
    caption_source: str
    raw_caption: str
    original_px: tuple[int, int]
    crop_px: tuple[int, int]
    variants: tuple[str, ...] = ()


def read_dataset(folder: Path) -> Iterator[DatasetRow]:
    """Yield a dataset's rows, training split first, each split sorted by id.

    Raises:
        DataError: If the folder holds no dataset, or a shard cannot be read.
    """
    shards = {split: sorted((folder / "data").glob(f"{split}-*.parquet")) for split in SPLITS}
    if not any(shards.values()):
        raise DataError(f"{folder} holds no dataset: materialise image_dataset first")
    for split in SPLITS:
        for path in shards[split]:
            yield from _rows(path, split)


def read_captions(folder: Path) -> dict[str, str]:
    """Return the caption of each image of a dataset by the image's id, without the images.

    Raises:
        DataError: If a shard cannot be read.
    """
    captions: dict[str, str] = {}
    for path in sorted((folder / "data").glob("*.parquet")):
        try:
            table = pq.read_table(path, columns=["id", "text"])
        except (pa.ArrowException, OSError) as exc:
            raise DataError(f"{path} is no shard of a dataset: {exc}") from exc
        captions |= zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
    return captions


def _rows(path: Path, split: Split) -> Iterator[DatasetRow]:
    try:
        with pq.ParquetFile(path) as shard:
            # Not iter_batches, which reads row groups ahead without bound.
            for number in range(shard.num_row_groups):
                for batch in shard.read_row_group(number).to_batches(max_chunksize=_BATCH_ROWS):
                    for row in batch.to_pylist():
                        yield _row(row, split)
    except (pa.ArrowException, OSError, KeyError) as exc:
        raise DataError(
            f"{path} is no shard of a dataset ({type(exc).__name__}: {exc}): remove it and "
            "materialise image_dataset again"
        ) from exc


def _row(row: Mapping[str, Any], split: Split) -> DatasetRow:
    origin = {name: row[name] for name in ("url", "page_url", "title", "licence", "author")}
    return DatasetRow(
        id=row["id"],
        text=row["text"],
        jpeg=row["image"]["bytes"],
        split=split,
        family=row["family"],
        origin=Origin(**origin),
        caption_source=row["caption_source"],
        raw_caption=row["raw_caption"],
        original_px=(row["original_width"], row["original_height"]),
        crop_px=(row["crop_left"], row["crop_top"]),
        variants=tuple(row["variants"]),
    )
