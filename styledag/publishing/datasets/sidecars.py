"""Images as files with their captions beside them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from styledag.dataset.read import DatasetRow
from styledag.errors import DataError

CAPTION_EXTENSION = ".txt"


@dataclass
class Written:
    """What an export wrote.

    Attributes:
        images: Images by split.
        variants: Further captions that were written.
        variants_left_out: Further captions that the trainer has no place for.
        command: How the trainer is started; empty if it is no program.
    """

    images: Counter[str] = field(default_factory=Counter)
    variants: int = 0
    variants_left_out: int = 0
    command: str = ""


def write_sidecars(rows: Iterable[DatasetRow], folder: Path, *, with_variants: bool) -> Written:
    """Write ``<split>/<id>.jpg`` and ``.txt`` for each row; return the counts.

    Args:
        rows: The dataset's rows.
        folder: Where the splits' folders go.
        with_variants: Whether further captions follow the first, one a line; for trainers that
            choose a line at random.

    Raises:
        DataError: If a caption is empty or contains a line break.
    """
    written = Written()
    for row in counted(rows, written):
        split = folder / row.split
        split.mkdir(exist_ok=True)
        captions = captions_of(row) if with_variants else captions_of(row)[:1]
        (split / f"{row.id}.jpg").write_bytes(row.jpeg)
        text = "\n".join(captions)  # no line break at the end: ai-toolkit would train on it
        (split / f"{row.id}{CAPTION_EXTENSION}").write_text(text, encoding="utf-8", newline="\n")
        written.variants += len(captions) - 1
        written.variants_left_out += 1 + len(row.variants) - len(captions)
    return written


def captions_of(row: DatasetRow) -> list[str]:
    """Return a row's caption and its variants.

    Raises:
        DataError: If one is empty or contains a line break, which trainers read as several.
    """
    captions = [row.text, *row.variants]
    for caption in captions:
        if not caption.strip() or caption.splitlines() != [caption]:
            raise DataError(
                f"the caption {caption!r} of image {row.id} is empty or has several lines, which "
                "other trainers misread: correct it in captions.csv and materialise the dataset"
            )
    return captions


def counted(rows: Iterable[DatasetRow], written: Written) -> Iterator[DatasetRow]:
    """Yield the rows and count them by split."""
    for row in rows:
        yield row
        written.images[row.split] += 1
