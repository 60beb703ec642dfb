"""A person's review of the images, which always wins: a CSV of images and verdicts."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from styledag.edited_csv import edited_csv
from styledag.errors import StyleFileError
from styledag.images.records import CuratedImage
from styledag.manifest import Manifest
from styledag.store.files import replaced

COLUMNS = ("verdict", "image", "now", "title")
KEEP, DROP = "keep", "drop"


@dataclass(frozen=True)
class Review:
    """What the person decided, by file name, URL or sha256.

    Attributes:
        keep: Images to keep whatever else is set.
        drop: Images to leave out.
    """

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


def read_review(path: Path) -> Review:
    """Read a CSV in UTF-8 with the columns ``verdict`` and ``image``; other columns are notes.

    It may be divided by commas, semicolons or tabs. A verdict is ``keep``, ``drop`` or empty.

    Raises:
        StyleFileError: If it cannot be read, or a line has another verdict, no image, or one that
            has the other verdict in another line; the message names file and line.
    """
    verdicts = _verdicts(path)
    return Review(
        tuple(image for image, verdict in verdicts.items() if verdict == KEEP),
        tuple(image for image, verdict in verdicts.items() if verdict == DROP),
    )


def write_review(path: Path, curated: Manifest[CuratedImage]) -> None:
    """Write a line for each image, with what curation made of it and the verdict so far.

    Args:
        path: The CSV; the verdicts in it are kept, if it is there already.
        curated: What curation kept and left out.

    Raises:
        StyleFileError: If the CSV that is there cannot be read.
        StorageError: If it cannot be written.
    """
    verdicts = _verdicts(path) if path.is_file() else {}
    rows = [(row.origin.url, "kept", row.origin.title) for row in curated.rows]
    rows += [(each.subject, each.reason, "") for each in curated.rejected]
    lines = [(verdicts.pop(image, ""), image, now, title) for image, now, title in sorted(rows)]
    # Verdicts under other names, or on images that are gone for now.
    lines += [(verdict, image, "", "") for image, verdict in verdicts.items() if verdict]
    with replaced(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *lines])


def _verdicts(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = edited_csv(file)
            missing = {"verdict", "image"} - set(reader.fieldnames or ())
            if missing:
                raise StyleFileError(
                    f"{path}:1: the first line must name the columns verdict and image"
                )
            return _checked(path, ((reader.line_num, row) for row in reader))
    except OSError as exc:
        raise StyleFileError(
            f"{path}: the review cannot be read ({exc.strerror}): correct curation.review in the "
            "style file, or write it by `styledag show STYLE --review`"
        ) from exc
    except (UnicodeDecodeError, csv.Error) as exc:
        raise StyleFileError(f"{path}: this is no CSV in UTF-8: {exc}") from exc


def _checked(path: Path, rows: Iterable[tuple[int, Mapping[str, str | None]]]) -> dict[str, str]:
    verdicts: dict[str, str] = {}
    for number, row in rows:
        image, verdict = row["image"] or "", (row["verdict"] or "").strip().lower()
        image = image if image.strip() else ""
        if verdict not in (KEEP, DROP, ""):
            raise StyleFileError(
                f"{path}:{number}: verdict {verdict!r}: write keep, drop or nothing"
            )
        if verdict and not image:
            raise StyleFileError(f"{path}:{number}: the line names no image")
        if verdicts.get(image) and verdict and verdicts[image] != verdict:
            raise StyleFileError(f"{path}:{number}: {image} is to be kept and dropped: decide")
        verdicts[image] = verdict or verdicts.get(image, "")
    verdicts.pop("", None)
    return verdicts
