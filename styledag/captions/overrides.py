"""A person's own captions, which always win: a CSV of images and what they show."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from styledag.captions.rules import clean_text
from styledag.errors import StyleFileError
from styledag.images.records import CuratedImage

COLUMNS = ("image", "caption")


@dataclass(frozen=True)
class Overrides:
    """Captions by what the CSV calls their images.

    Attributes:
        captions: Caption by URL or sha256, word for word.
    """

    captions: Mapping[str, str]

    def of(self, image: CuratedImage) -> str | None:
        """Return the caption a person gave an image, or ``None``.

        The JPEG's sha256 comes before the original's, and that before the image's address and
        those of its dropped copies.
        """
        return next((self.captions[name] for name in _names(image) if name in self.captions), None)

    def unmatched(self, images: Iterable[CuratedImage]) -> tuple[str, ...]:
        """Return what the CSV calls images that are not there, sorted."""
        there = {name for image in images for name in _names(image)}
        return tuple(sorted(set(self.captions) - there))


def read_overrides(path: Path) -> Overrides:
    """Read a CSV in UTF-8 with the columns ``image`` and ``caption``; other columns are notes.

    Raises:
        StyleFileError: If it cannot be read, or a line lacks its image or caption, has surplus
            cells or names an image again; the message names file and line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return Overrides(_captions(path, csv.DictReader(file, strict=True)))
    except OSError as exc:
        raise StyleFileError(
            f"{path}: the captions cannot be read ({exc.strerror}): "
            "correct captions.overrides in the style file, or write the CSV"
        ) from exc
    except UnicodeDecodeError as exc:
        raise StyleFileError(f"{path}: byte {exc.start} is not UTF-8: save it as UTF-8") from exc


def _captions(path: Path, reader: "csv.DictReader[str]") -> dict[str, str]:
    captions: dict[str, str] = {}
    lines: dict[str, int] = {}
    try:
        header = reader.fieldnames or []
        if any(header.count(column) != 1 for column in COLUMNS):
            raise StyleFileError(
                f"{path}:1: the first line must name the columns {', '.join(COLUMNS)}, each once; "
                f"found {', '.join(header) or 'nothing'}"
            )
        for row in reader:
            where = f"{path}:{reader.line_num}"
            image, caption = _cells(where, row)
            if image in captions:
                raise StyleFileError(
                    f"{where}: {image} has a caption in line {lines[image]} already: keep one"
                )
            captions[image], lines[image] = caption, reader.line_num
    except csv.Error as exc:
        raise StyleFileError(
            f"{path}:{reader.reader.line_num}: this is no CSV ({exc}): "
            "put captions that hold commas or quotes in double quotes"
        ) from exc
    return captions


def _cells(where: str, row: Mapping[str | None, str | list[str] | None]) -> tuple[str, str]:
    if None in row:
        raise StyleFileError(
            f"{where}: the line has more cells than the first one: "
            "put captions that hold commas in double quotes"
        )
    image, caption = (str(row[column] or "") for column in COLUMNS)
    image = image.strip()
    if not image:
        raise StyleFileError(f"{where}: column image is empty: name an image's URL or sha256")
    if not clean_text(caption).text:
        raise StyleFileError(f"{where}: column caption is empty: describe {image} or drop the line")
    return image, caption


def _names(image: CuratedImage) -> tuple[str, ...]:
    return (image.sha256, image.raw_sha256, image.origin.url, *image.copies)
