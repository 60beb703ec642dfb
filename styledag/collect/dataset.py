"""A Hugging Face dataset of images, in a folder or on the Hub at a fixed revision."""

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from styledag.collect.folder import count_images
from styledag.collect.harvest import Harvest, rejection
from styledag.collect.records import Origin, RawImage
from styledag.collect.settings import DatasetSource
from styledag.collect.stored import stored_image
from styledag.collect.written_texts import cell_text
from styledag.errors import FetchError, ModelError, SourceError
from styledag.manifest import Rejection
from styledag.models.hub import ask_hub
from styledag.store.workspace import Workspace


def collect_dataset(source: DatasetSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images of a dataset, byte for byte as it holds them.

    Raises:
        SourceError: If the dataset cannot be loaded, or has no such split or column.
    """
    images: list[RawImage] = []
    rejected: list[Rejection] = []
    rows = _rows(source, project)
    folder = project / source.path
    with _Files(folder) as files, workspace.progress.task("images", len(rows)) as advance:
        for at, row in enumerate(_read(source, rows)):
            name = _name(source, row, at)
            origin = _origin(source, row, name)
            try:
                if at >= source.max_images:
                    raise FetchError("over_max_images", f"max_images is {source.max_images}")
                body = _body(row[source.image], files, source.max_image_bytes)
                images.append(
                    stored_image(body, origin, workspace, max_bytes=source.max_image_bytes)
                )
            except FetchError as exc:
                rejected.append(rejection(name, exc))
            advance(1)
    if not images and not rejected:
        raise SourceError(f"no image found: split {source.split} of {source.name} is empty")
    rejected += _left_out(source, rows, folder)
    notes = tuple(_notes(source, rows))
    return Harvest(tuple(images), tuple(rejected), inside=source.path, notes=notes)


def _origin(source: DatasetSource, row: Mapping[str, Any], name: str) -> Origin:
    try:
        return Origin(
            url=name,
            page_url="" if source.revision is None else _page(source),
            caption=cell_text(row, source.caption, in_lines=True),
            licence=cell_text(row, source.licence_column) or source.licence,
            author=cell_text(row, source.author_column) or source.author,
        )
    except ValueError as exc:
        raise SourceError(f"dataset {source.name}: {name}: {exc}") from exc


def _rows(source: DatasetSource, project: Path) -> Any:
    """Return the split as a ``datasets.Dataset`` whose images stay encoded."""
    import datasets
    from huggingface_hub import constants

    folder = project / source.path
    is_local = folder.is_dir()
    if not is_local and source.revision is None:
        raise SourceError(
            f"dataset {source.path} is no folder in {project}; if it is on the Hub, name its "
            "revision in the style file: a commit, so that the images stay the same"
        )
    try:
        if is_local and (folder / "dataset_dict.json").is_file():
            rows = _split_of(datasets.load_from_disk(str(folder)), source.split)
        elif is_local and (folder / "state.json").is_file():
            rows = datasets.load_from_disk(str(folder))
        else:
            if not (is_local or constants.HF_HUB_OFFLINE):
                ask_hub(source.path, source.revision, "dataset")
            rows = datasets.load_dataset(
                str(folder) if is_local else source.path,
                source.config,
                split=source.split,
                revision=None if is_local else source.revision,
            )
    except ModelError as exc:
        raise SourceError(
            f"{exc}; with HF_HUB_OFFLINE=1, what was fetched of it before is read"
        ) from exc
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as exc:
        raise SourceError(
            f"dataset {source.name} cannot be loaded: {_first_words(exc)}; the style file names "
            f"split: {source.split}" + (f", config: {source.config}" if source.config else "")
        ) from exc
    for key in ("image", "caption", "licence_column", "author_column"):
        name = getattr(source, key)
        is_named = key == "image" or name != _DEFAULTS[key]
        if is_named and name and name not in rows.column_names:
            raise SourceError(
                f"dataset {source.name} has no column {name!r}, only "
                f"{', '.join(rows.column_names)}: name the one of {_CONTENTS[key]} under {key}"
            )
    with _column_errors(source):
        return rows.cast_column(source.image, datasets.Image(decode=False))


_ON_THE_WEB = re.compile("https?://", re.IGNORECASE)
_DEFAULTS = {each.name: each.default for each in fields(DatasetSource)}
_CONTENTS = {
    "image": "images",
    "caption": "captions",
    "licence_column": "licences",
    "author_column": "authors",
}


def _split_of(splits: Any, name: str) -> Any:
    if name not in splits:
        raise ValueError(f"it has no split {name!r}, only {', '.join(splits)}")
    return splits[name]


def _first_words(exc: Exception) -> str:
    """Return an error of ``datasets`` without its example of Python."""
    return " ".join(str(exc).partition("Example of usage")[0].split()).rstrip(".")


def _notes(source: DatasetSource, rows: Any) -> list[str]:
    """Return what the author of a source wants to know of what is not read."""
    used = {source.image, source.caption, source.licence_column, source.author_column, "file_name"}
    unread = [name for name in rows.column_names if name not in used]
    notes = [f"{source.name}: column {name!r} is not read" for name in unread]
    if source.caption and source.caption not in rows.column_names:
        notes.append(f"{source.name}: there is no column {source.caption!r} of captions")
    others = rows.info.splits or {}
    notes += [
        f"{source.name}: split {name} is not read: {split.num_examples} rows"
        for name, split in others.items()
        if name != source.split
    ]
    return notes


def _left_out(source: DatasetSource, rows: Any, folder: Path) -> list[Rejection]:
    """Return images of a folder that ``datasets`` puts into no split, as one rejection.

    It goes by names: beside a ``train.png``, other images are in no split.
    """
    if rows.info.builder_name != "imagefolder" or not folder.is_dir():
        return []
    taken = sum(split.num_examples for split in (rows.info.splits or {}).values())
    missing = count_images(folder) - taken
    if missing <= 0 or any(folder.rglob("*.zip")):
        return []
    detail = (
        f"{missing} images of the folder are in no split, for names such as train.png or "
        "a_test.png decide what is: a source of type folder reads all"
    )
    return [Rejection(subject=source.path, reason="in_no_split", detail=detail)]


@contextmanager
def _column_errors(source: DatasetSource) -> Iterator[None]:
    """Turn what a column of something else than images raises into an error that names it."""
    try:
        yield
    except (TypeError, ValueError, pa.ArrowException) as exc:
        raise SourceError(
            f"column {source.image!r} of dataset {source.name} holds no images: {exc}; name the "
            "one of images under image"
        ) from exc


def _read(source: DatasetSource, rows: Any) -> Iterator[Mapping[str, Any]]:
    columns = [
        source.image,
        source.caption,
        source.licence_column,
        source.author_column,
        "file_name",
    ]
    with _column_errors(source):
        yield from rows.select_columns(
            [name for name in dict.fromkeys(columns) if name in rows.column_names]
        )


def _name(source: DatasetSource, row: Mapping[str, Any], at: int) -> str:
    """Return what a row is called; its number makes it unique."""
    image = row[source.image] or {}
    inside_archive = str(image.get("path") or "").partition("::")[0]
    named = Path(str(row.get("file_name") or inside_archive)).name
    return f"{source.split}/{at:08d}{'-' if named else ''}{named}"


def _page(source: DatasetSource) -> str:
    return f"https://huggingface.co/datasets/{source.path}/tree/{source.revision}"


class _Files:
    """Reads the files that rows name, relative to the dataset; zips that hold them stay open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._zips: dict[str, zipfile.ZipFile] = {}

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_exception: object) -> None:
        for each in self._zips.values():
            each.close()

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a file's bytes, at most one more than allowed; in a zip, of ``zip://NAME::ZIP``.

        Raises:
            FetchError: If it cannot be read.
        """
        inside, _, packed = path.partition("::")
        if _ON_THE_WEB.match(path):
            detail = "the row has an image's address: a source of type urls reads such a .parquet"
            raise FetchError("unreadable", detail)
        try:
            if not packed or not inside.startswith("zip://"):
                with (self._folder / path).open("rb") as file:
                    return file.read(max_bytes + 1)
            if packed not in self._zips:
                self._zips[packed] = zipfile.ZipFile(packed)
            with self._zips[packed].open(inside.removeprefix("zip://")) as member:
                return member.read(max_bytes + 1)
        except OSError as exc:
            raise FetchError("unreadable", exc.strerror or str(exc)) from exc
        except (KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as exc:
            raise FetchError("unreadable", str(exc)) from exc


def _body(image: Mapping[str, Any] | None, files: _Files, max_bytes: int) -> bytes:
    if image and image.get("bytes"):
        return bytes(image["bytes"])
    if image and image.get("path"):
        return files.read(str(image["path"]), max_bytes)
    raise FetchError("no_image", "the row has no image")
