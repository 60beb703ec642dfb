"""A Hugging Face dataset of images, in a folder or on the Hub at a fixed revision."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from styledag.collect.harvest import Harvest, rejection
from styledag.collect.records import Origin, RawImage
from styledag.collect.settings import DatasetSource
from styledag.collect.sources import collects
from styledag.collect.stored import stored_image
from styledag.collect.web.rendered_text import cell_text
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace


@collects(DatasetSource)
def collect_dataset(source: DatasetSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images of a dataset, byte for byte as it holds them.

    Raises:
        SourceError: If the dataset cannot be loaded, or has no such split or column.
    """
    images: list[RawImage] = []
    rejected: list[Rejection] = []
    rows = _rows(source, project)
    with _Files() as files, workspace.progress.task("images", len(rows)) as advance:
        for at, row in enumerate(_read(source, rows)):
            name = _name(source, row, at)
            origin = Origin(
                url=name,
                page_url="" if source.revision is None else _page(source),
                caption=cell_text(row, source.caption),
                licence=cell_text(row, source.licence_column) or source.licence,
                author=cell_text(row, source.author_column) or source.author,
            )
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
    return Harvest(tuple(images), tuple(rejected), inside=source.path)


def _rows(source: DatasetSource, project: Path) -> Any:
    """Return the split as a ``datasets.Dataset`` whose images stay encoded."""
    import datasets

    folder = project / source.path
    is_local = folder.is_dir()
    if not is_local and source.revision is None:
        raise SourceError(
            f"dataset {source.path} is no folder in {project}; if it is on the Hub, name its "
            "revision in the style file: a commit, so that the images stay the same"
        )
    try:
        if is_local and (folder / "dataset_dict.json").is_file():
            rows = datasets.load_from_disk(str(folder))[source.split]
        elif is_local and (folder / "state.json").is_file():
            rows = datasets.load_from_disk(str(folder))
        else:
            rows = datasets.load_dataset(
                str(folder) if is_local else source.path,
                source.config,
                split=source.split,
                revision=None if is_local else source.revision,
            )
    except (OSError, ValueError, KeyError, RuntimeError, datasets.exceptions.DatasetsError) as exc:
        raise SourceError(f"dataset {source.name} cannot be loaded: {exc}") from exc
    if source.image not in rows.column_names:
        raise SourceError(
            f"dataset {source.name} has no column {source.image!r}, only "
            f"{', '.join(rows.column_names)}: name the one of images under image"
        )
    with _column_errors(source):
        return rows.cast_column(source.image, datasets.Image(decode=False))


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
    """Reads the files that rows name; the zips that they are in stay open."""

    def __init__(self) -> None:
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
        try:
            if not packed or not inside.startswith("zip://"):
                with Path(path).open("rb") as file:
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
