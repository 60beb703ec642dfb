"""A sheet of captions that a person corrects: a CSV whose changes become overrides.

A cell that a spreadsheet would run as a formula gets an apostrophe in front, which is taken off
when the sheet is read.
"""

import codecs
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from styledag.captions.overrides import COLUMNS, Overrides, read_overrides
from styledag.captions.records import CaptionedImage
from styledag.captions.review.worst import ReviewedCaption
from styledag.edited_csv import edited_csv, encoding_of, meant_cell, opened_text, shown_cell
from styledag.errors import StyleFileError
from styledag.images.names import find_named
from styledag.store.files import storage_errors

_BEFORE = "caption_before"
_SHEET = (*COLUMNS, "similarity", "repeats", "source", "rule_hits", "raw_caption", _BEFORE)


def write_sheet(captions: Sequence[ReviewedCaption], path: Path) -> None:
    """Write captions into a sheet, in their order, for a person or a spreadsheet to change.

    The column ``caption`` is the one to change: the words that stand for ``{caption}`` in the
    style's template. An image is named by its address, or by its sha256 where several have it.

    Args:
        captions: The captions.
        path: The CSV, in UTF-8 with a mark by which spreadsheets recognise it.

    Raises:
        StorageError: If it cannot be written.
    """
    urls = Counter(each.row.image.origin.url for each in captions)
    rows = []
    for each in captions:
        row, url = each.row, each.row.image.origin.url
        rows.append(
            {
                "image": url if urls[url] == 1 and url else row.image.sha256,
                "caption": row.cleaned_caption,
                "similarity": f"{each.similarity:.4f}",
                "repeats": str(each.repeats),
                "source": row.source,
                "rule_hits": " ".join(row.rule_hits),
                "raw_caption": row.raw_caption,
                _BEFORE: row.cleaned_caption,
            }
        )
    shown = [{name: shown_cell(cell) for name, cell in row.items()} for row in rows]
    _write(path, _SHEET, shown, encoding="utf-8-sig")


def read_changes(path: Path) -> Mapping[str, str]:
    """Return the captions that a person changed in a sheet, by what the sheet calls the image.

    Lines that were taken out of the sheet change nothing.

    Raises:
        StyleFileError: If it is no such sheet; the message names file and line.
    """
    captions = read_overrides(path).captions
    with opened_text(path) as file:
        reader = edited_csv(file)
        if _BEFORE not in (reader.fieldnames or ()):
            raise StyleFileError(
                f"{path}:1: column {_BEFORE} is missing: keep the sheet's columns, or remove the "
                "file to have it written anew"
            )
        before = {str(row["image"]): str(row[_BEFORE]) for row in reader}
    return {
        meant_cell(image): meant_cell(caption)
        for image, caption in captions.items()
        if caption != before[image]
    }


def merge_overrides(
    changes: Mapping[str, str], path: Path, images: Sequence[CaptionedImage]
) -> None:
    """Write changed captions into a style's CSV of overrides; its other lines and columns stay.

    So does what its spreadsheet divides cells by and how it encodes letters. A line that already
    names the image, by whatever name, gets the new caption.

    Args:
        changes: Caption by what the image is called.
        path: The CSV; made if it is not there.
        images: The captioned images.

    Raises:
        StyleFileError: If the CSV is wrong, or a change names several images or none.
        StorageError: If it cannot be written.
    """
    curated = [each.image for each in images]
    given = Overrides(changes, path)
    unmatched = given.unmatched(curated)
    if unmatched:
        raise StyleFileError(
            f"the sheet changes captions of {len(unmatched)} images that are not there, such as "
            f"{unmatched[0]!r}: correct them in its column image, or take their lines out"
        )
    new = given.by_sha256(curated)
    columns: list[str] = list(COLUMNS)
    rows: list[dict[str, Any]] = []
    encoding, delimiter = "utf-8", ","
    if path.exists():
        names = find_named(read_overrides(path).captions, curated)
        with opened_text(path) as file:
            reader = edited_csv(file)
            columns, rows = list(reader.fieldnames or columns), list(reader)
            encoding, delimiter = _written_as(path), reader.reader.dialect.delimiter
        for row in rows:
            for image in names[row["image"]]:
                row["caption"] = new.get(image.sha256, row["caption"])
        known = {image.sha256 for named in names.values() for image in named}
        new = {sha256: caption for sha256, caption in new.items() if sha256 not in known}
    called = {
        image.sha256: name
        for name, named in find_named(changes, curated).items()
        for image in named
    }
    rows += [{"image": called[sha256], "caption": caption} for sha256, caption in new.items()]
    _write(path, columns, rows, encoding=encoding, delimiter=delimiter)


def _written_as(path: Path) -> str:
    """Return the encoding of a file, and whether a mark at its beginning states it."""
    with path.open("rb") as file:
        start = file.read(len(codecs.BOM_UTF8))
    is_plain = encoding_of(start) == "utf-8-sig" and start != codecs.BOM_UTF8
    return "utf-8" if is_plain else encoding_of(start)


def _write(
    path: Path,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    *,
    encoding: str,
    delimiter: str = ",",
) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with storage_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        partial.replace(path)
