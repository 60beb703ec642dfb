"""What differs between two datasets: images and captions."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from styledag.dataset.read import DatasetRow, read_dataset

_MOST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class DatasetDiff:
    """What differs between two datasets; every image of either is in one field at the most.

    Rows are without the images' bytes.

    Attributes:
        added: Images that only the second dataset contains, from addresses that are new.
        removed: Images that only the first dataset contains, whose addresses are gone.
        replaced: Images of one address with other content, as (before, after).
        recaptioned: The same image with another caption or other variants, as (before, after).
        moved: The same image and captions in another split, as (before, after).
        unchanged: How many images are equal in both.
    """

    added: tuple[DatasetRow, ...]
    removed: tuple[DatasetRow, ...]
    replaced: tuple[tuple[DatasetRow, DatasetRow], ...]
    recaptioned: tuple[tuple[DatasetRow, DatasetRow], ...]
    moved: tuple[tuple[DatasetRow, DatasetRow], ...]
    unchanged: int


def diff_datasets(before: Path, after: Path) -> DatasetDiff:
    """Return what differs between two dataset folders, each list sorted by image id.

    Raises:
        DataError: If a folder contains no dataset, or a shard cannot be read.
    """
    first, second = _images(before), _images(after)
    removed = {id_: image for id_, image in first.items() if id_ not in second}
    added = {id_: image for id_, image in second.items() if id_ not in first}
    replaced = _replaced(removed, added)
    both = [(first[id_], second[id_]) for id_ in sorted(first.keys() & second.keys())]
    recaptioned = [pair for pair in both if _captions(pair[0]) != _captions(pair[1])]
    same_captions = [pair for pair in both if _captions(pair[0]) == _captions(pair[1])]
    moved = [pair for pair in same_captions if pair[0].split != pair[1].split]
    return DatasetDiff(
        added=tuple(added[id_] for id_ in sorted(added)),
        removed=tuple(removed[id_] for id_ in sorted(removed)),
        replaced=replaced,
        recaptioned=tuple(recaptioned),
        moved=tuple(moved),
        unchanged=len(same_captions) - len(moved),
    )


def diff_text(diff: DatasetDiff, *, most_lines: int = _MOST_LINES) -> str:
    """Return a diff as lines for a terminal: counts, then the images by kind of change."""
    counts = (
        f"{len(diff.added)} added, {len(diff.removed)} removed, {len(diff.replaced)} replaced, "
        f"{len(diff.recaptioned)} recaptioned, {len(diff.moved)} moved to another split, "
        f"{diff.unchanged} unchanged"
    )
    sections = (
        [f"+ {_line(image)}" for image in diff.added],
        [f"- {_line(image)}" for image in diff.removed],
        [f"* {_line(after)} (was {before.id[:12]})" for before, after in diff.replaced],
        [
            line
            for before, after in diff.recaptioned
            for line in (
                f"~ {_line(before)}",
                f"  {' ' * 12}  {_shown(after)}",
            )
        ],
        [f"> {_line(before)} ({before.split} to {after.split})" for before, after in diff.moved],
    )
    lines = [counts]
    for section, width in zip(sections, (1, 1, 1, 2, 1), strict=True):
        lines += section[: most_lines * width]
        rest = len(section) // width - most_lines
        if rest > 0:
            lines.append(f"  and {rest} more of this kind")
    return "\n".join(lines)


def _images(folder: Path) -> dict[str, DatasetRow]:
    return {row.id: replace(row, jpeg=b"") for row in read_dataset(folder)}


def _replaced(
    removed: dict[str, DatasetRow], added: dict[str, DatasetRow]
) -> tuple[tuple[DatasetRow, DatasetRow], ...]:
    """Move pairs of one address from both sets into the result."""
    by_url = {image.origin.url: id_ for id_, image in sorted(added.items()) if image.origin.url}
    pairs = []
    for id_ in sorted(removed):
        follower = by_url.pop(removed[id_].origin.url, None)
        if follower is not None:
            pairs.append((removed.pop(id_), added.pop(follower)))
    return tuple(pairs)


def _captions(image: DatasetRow) -> tuple[str, ...]:
    return (image.text, *image.variants)


def _line(image: DatasetRow) -> str:
    return f"{image.id[:12]}  {_shown(image)}"


def _shown(image: DatasetRow) -> str:
    """Return the captions; one that is there several times, for its weight, once with the count."""
    counts = Counter(_captions(image))
    return _printable(
        " | ".join(text if count == 1 else f"{text} ({count}x)" for text, count in counts.items())
    )


def _printable(text: str) -> str:
    """Return text from strangers without what a terminal would obey."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
