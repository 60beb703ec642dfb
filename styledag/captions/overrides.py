"""A person's own captions, which always win: a CSV of images and what they show."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from styledag.captions.cleaning.rules import clean_text
from styledag.edited_csv import edited_csv, opened_text
from styledag.errors import StyleFileError
from styledag.images.names import find_named
from styledag.images.records import CuratedImage

COLUMNS = ("image", "caption")


@dataclass(frozen=True)
class Overrides:
    """Captions by what the CSV calls their images.

    Attributes:
        captions: Caption by file name, URL or sha256, word for word.
        path: The CSV.
    """

    captions: Mapping[str, str]
    path: Path | None = None

    def by_sha256(self, images: Sequence[CuratedImage]) -> dict[str, str]:
        """Return the captions that a person gave, by the JPEG's sha256.

        Of several names of one image, the JPEG's sha256 comes before the original's, and that
        before the image's address, those of its dropped copies, and its file name.

        Raises:
            StyleFileError: If a name means several images; the message names it.
        """
        found = find_named(self.captions, images)
        given: dict[str, tuple[int, str]] = {}
        for name, named in found.items():
            if len(named) > 1:
                raise StyleFileError(
                    f"{self.path}: {name} names {len(named)} images, among them "
                    f"{named[0].origin.url} and {named[1].origin.url}: write the URL or sha256 "
                    "of each"
                )
            for image in named:
                ranked = _rank(name, image), self.captions[name]
                given[image.sha256] = min(ranked, given.get(image.sha256, ranked))
        return {sha256: caption for sha256, (_, caption) in given.items()}

    def unmatched(self, images: Sequence[CuratedImage]) -> tuple[str, ...]:
        """Return what the CSV calls images that are not there, sorted."""
        found = find_named(self.captions, images)
        return tuple(sorted(name for name, named in found.items() if not named))


def read_overrides(path: Path) -> Overrides:
    """Read a CSV with the columns ``image`` and ``caption``; other columns are notes.

    It may be in UTF-8 or UTF-16, and divided by commas, semicolons or tabs.

    Raises:
        StyleFileError: If it cannot be read, or a line lacks its image or caption, has surplus
            cells or names an image again; the message names file and line.
    """
    try:
        with opened_text(path) as file:
            return Overrides(_captions(path, edited_csv(file)), path)
    except OSError as exc:
        raise StyleFileError(
            f"{path}: the captions cannot be read ({exc.strerror}): "
            "correct captions.overrides in the style file, or write the CSV"
        ) from exc
    except UnicodeDecodeError as exc:
        raise StyleFileError(
            f"{path}: byte {exc.start} is not {exc.encoding.upper()}: save it as UTF-8 (in Excel: "
            "CSV UTF-8)"
        ) from exc


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
    if not image.strip():
        raise StyleFileError(f"{where}: column image is empty: name an image's file, URL or sha256")
    if not clean_text(caption).text:
        raise StyleFileError(f"{where}: column caption is empty: describe {image} or drop the line")
    return image, caption


def _rank(name: str, image: CuratedImage) -> int:
    exact = (image.sha256, image.raw_sha256, image.origin.url, *image.copies)
    return exact.index(name) if name in exact else len(exact)
