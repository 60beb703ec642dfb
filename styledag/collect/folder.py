"""Images that are on the disk already."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from styledag.collect.harvest import Harvest, rejection
from styledag.collect.image_type import image_type
from styledag.collect.records import Origin, RawImage
from styledag.collect.settings import FolderSource
from styledag.collect.sources import collects
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("png", "jpg", "jpeg", "jpe", "jfif", "gif", "webp", "bmp", "ico"),
        *("tif", "tiff", "avif", "heic", "heif", "jp2", "jxl"),
    )
)
SIDECARS = (".txt", ".caption")
MOST_SIDECAR_BYTES = 100_000


@collects(FolderSource)
def collect_folder(source: FolderSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images below a folder, whatever its tree.

    Args:
        source: The folder and what holds for all images in it.
        workspace: Where the bytes are kept.
        project: Folder that ``source.path`` is relative to.

    Raises:
        SourceError: If the folder is not there or holds no image.
    """
    root = project / source.path
    if not root.is_dir():
        raise SourceError(
            f"folder {source.path} is not in {project}: correct path in the style file, or make it"
        )
    paths = sorted(_images_below(root), key=lambda path: path.relative_to(root).as_posix())
    if not paths:
        raise SourceError(
            f"no image found: folder {source.path} in {project} holds no file ending in "
            f"{', '.join(sorted(SUFFIXES))}"
        )
    images: list[RawImage] = []
    rejected: list[Rejection] = []
    with workspace.progress.task("images", len(paths)) as advance:
        for path in paths:
            try:
                images.append(_taken(path, root, source, workspace))
            except FetchError as exc:
                rejected.append(rejection(path.relative_to(root).as_posix(), exc))
            advance(1)
    return Harvest(tuple(images), tuple(rejected), inside=source.path)


def _images_below(root: Path) -> Iterator[Path]:
    # os.walk does not enter linked folders.
    for folder, _, names in os.walk(root):
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder) / name


def _taken(path: Path, root: Path, source: FolderSource, workspace: Workspace) -> RawImage:
    body = _read(path, root, source.max_image_bytes)
    content_type = image_type(body)
    if not content_type:
        raise FetchError("not_an_image", "the file is no image, whatever its name says")
    sha256 = hashlib.sha256(body).hexdigest()
    if not workspace.blobs.has(sha256):
        workspace.blobs.put(body)
        workspace.work["downloads"] += 1
    return RawImage(
        origin=Origin(
            url=path.relative_to(root).as_posix(),
            alt=_sidecar(path, root),
            licence=source.licence,
            author=source.author,
        ),
        sha256=sha256,
        sha1=hashlib.sha1(body, usedforsecurity=False).hexdigest(),
        size_bytes=len(body),
        content_type=content_type,
    )


def _read(path: Path, root: Path, max_bytes: int) -> bytes:
    if not path.resolve().is_relative_to(root.resolve()):
        raise FetchError("link_refused", "the file is a link that leads out of the folder")
    try:
        if not path.is_file():
            raise FetchError("unreadable", "not a file")
        if path.stat().st_size > max_bytes:
            raise FetchError("too_large", f"more than the {max_bytes} bytes allowed")
        return path.read_bytes()
    except OSError as exc:
        raise FetchError("unreadable", os.strerror(exc.errno or 0)) from exc


def _sidecar(path: Path, root: Path) -> str:
    """Return the text that lies beside an image, as trainers write captions."""
    for suffix in SIDECARS:
        sidecar = path.with_suffix(suffix)
        if sidecar.is_file():
            try:
                body = _read(sidecar, root, MOST_SIDECAR_BYTES)
            except FetchError as exc:
                raise FetchError("sidecar_refused", f"{sidecar.name}: {exc.detail}") from exc
            return " ".join(body.decode("utf-8-sig", errors="replace").split())
    return ""
