"""Make captioned images into a Hugging Face dataset that plain ``load_dataset`` reads."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from styledag.captions.records import CaptionedImage
from styledag.dataset.card import dataset_card
from styledag.dataset.columns import dataset_columns
from styledag.dataset.settings import DatasetSettings
from styledag.dataset.shards import write_shards
from styledag.dataset.split import SPLITS, Split, split_of
from styledag.errors import DataError
from styledag.manifest import Manifest
from styledag.store.artifact import Facts
from styledag.store.files import storage_errors
from styledag.store.workspace import Workspace

CODE_VERSION = "6"
DATA_FOLDER = "data"
CARD_FILE = "README.md"


def build_image_dataset(
    captioned: Manifest[CaptionedImage],
    settings: DatasetSettings,
    workspace: Workspace,
    *,
    style: str,
    description: str,
    captioner: str = "",
) -> Facts:
    """Write the dataset's Parquet shards and its card into the workspace.

    Images are read one by one and their bytes are stored as they are. Families of near-duplicates
    lie whole in one split, which a hash of the family decides.

    Args:
        captioned: The images; their JPEGs are blobs of the workspace.
        settings: Share of the validation split, and the card's title.
        workspace: Where the dataset goes.
        style: The style's name, for the card.
        description: One sentence about the style, for the card.
        captioner: What was asked for captions, with its revision, for the card.

    Returns:
        Counts of images by split and licence, of families and of shards, and the shards' bytes.

    Raises:
        DataError: If there is no image, or none is left for training.
        StorageError: If an image is missing from the store, or the disk is full.
    """
    splits = _split(captioned.column("image.family"), settings.validation_share)
    columns = dataset_columns(captioned.table)

    def read(sha256: str) -> bytes:
        advance()
        return workspace.blobs.read(sha256)

    folder = workspace.folder / DATA_FOLDER
    size_bytes, shards = 0, 0
    with (
        storage_errors(str(workspace.folder)),
        workspace.progress.task("dataset", len(captioned.rows)) as advance,
    ):
        folder.mkdir()
        for split in SPLITS:
            rows = columns.take(pa.array(splits[split], pa.int64()))
            written = write_shards(folder, split, rows, read)
            shards += len(written)
            size_bytes += sum(path.stat().st_size for path in written)
        card = dataset_card(
            captioned,
            {split: len(splits[split]) for split in SPLITS},
            title=settings.title or style,
            description=description,
            captioner=captioner,
        )
        (workspace.folder / CARD_FILE).write_text(card, encoding="utf-8")
    return {
        "images": len(captioned.rows),
        **{split: len(splits[split]) for split in SPLITS},
        "families": len(set(captioned.column("image.family"))),
        "shards": shards,
        "size_bytes": size_bytes,
        "licences": dict(sorted(Counter(captioned.column("image.origin.licence")).items())),
    }


def _split(families: Sequence[str], validation_share: float) -> dict[Split, list[int]]:
    """Return the positions of the images in each split."""
    splits: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for at, family in enumerate(families):
        splits[split_of(family, validation_share)].append(at)
    if not families:
        raise DataError(
            "there is no captioned image to make a dataset of: see what the stages before "
            "rejected, and why"
        )
    if not splits["train"]:
        raise DataError(
            f"all {len(set(families))} families of images fall into the validation split and none "
            f"is left to train on: lower dataset.validation_share (now {validation_share}), or add "
            "images"
        )
    return splits
