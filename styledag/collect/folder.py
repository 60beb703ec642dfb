"""Images that are on the disk already, with the captions that trainers put beside them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from styledag.collect.folder_captions import FolderCaptions, leads_out
from styledag.collect.harvest import Harvest, rejection
from styledag.collect.image_type import image_type
from styledag.collect.records import Origin, RawImage
from styledag.collect.settings import FolderSource
from styledag.collect.stored import kept_image
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

_HEAD_BYTES = 1_024
_ESCAPE = re.compile(r"%(?=(?:25)*[89A-F][0-9A-F])")
_SURROGATE = re.compile("[\udc80-\udcff]")


def collect_folder(source: FolderSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images below a folder, whatever its tree.

    A file is an image by its content and not by its name; each that is none, or is hidden, is
    counted. Captions come from ``.txt``, ``.caption`` and ``.json`` files beside the images, else
    from a ``metadata.jsonl``, ``.csv`` or ``.parquet``; one that cannot be read is counted and
    costs no image.

    Raises:
        SourceError: If the folder is not there or holds no file.
    """
    root = project / source.path
    if not root.is_dir():
        raise SourceError(
            f"folder {source.path} is not in {project}: correct path in the style file, or make it"
        )
    paths = sorted(_files_below(root), key=lambda path: escaped_name(path, root))
    if not paths:
        raise SourceError(f"no image found: folder {source.path} in {project} holds no file")
    images: list[RawImage] = []
    rejected: list[Rejection] = []
    captions = FolderCaptions(root, frozenset(paths))
    with workspace.progress.task("images", len(paths)) as advance:
        for path in paths:
            advance(1)
            name = escaped_name(path, root)
            if captions.is_metadata(path):
                continue
            try:
                _check_place(path, root)
                head = _head(path)
                content_type = image_type(head)
                if not content_type:
                    if captions.is_sidecar(path):
                        continue
                    raise captions.refusal(path, head)
                caption = captions.of(path)
                images.append(_taken(path, name, content_type, caption, source, workspace))
            except FetchError as exc:
                rejected.append(rejection(name, exc))
    rejected += captions.rejected(lambda path: escaped_name(path, root))
    return Harvest(tuple(images), tuple(rejected), inside=source.path)


def count_images(root: Path) -> int:
    """Return how many files below a folder are images by their content, but for hidden ones."""
    visible = (path for path in _files_below(root) if not path.name.startswith("."))
    return sum(1 for path in visible if path.is_file() and image_type(_head(path)))


def escaped_name(path: Path, root: Path) -> str:
    """Return a file's POSIX path below a folder, as text that any encoding can write.

    A byte that is not UTF-8 becomes ``%XX``; a ``%`` that could be taken for one becomes ``%25``,
    and every other character stays, so two files never have one name.
    """
    name = _ESCAPE.sub("%25", path.relative_to(root).as_posix())
    return _SURROGATE.sub(lambda letter: f"%{ord(letter[0]) - 0xDC00:02X}", name)


def _files_below(root: Path) -> Iterator[Path]:
    """Yield the files, and hidden, linked and unreadable folders in place of what is in them."""
    unreadable: list[Path] = []
    for folder, folders, names in os.walk(
        root, onerror=lambda exc: unreadable.append(Path(exc.filename))
    ):
        closed = [name for name in folders if name.startswith(".") or _is_link(folder, name)]
        folders[:] = [name for name in folders if name not in closed]
        yield from (Path(folder) / name for name in (*names, *closed))
    yield from unreadable


def _is_link(folder: str, name: str) -> bool:
    return (Path(folder) / name).is_symlink()


def _check_place(path: Path, root: Path) -> None:
    """Refuse a file that is hidden, no file, or a link out of the folder.

    Raises:
        FetchError: With the reason.
    """
    if path.name.startswith("."):
        raise FetchError("hidden", "its name begins with a dot")
    if path.is_symlink() and path.is_dir():
        detail = "linked folders are not entered: name it as a source of its own"
        raise FetchError("link_refused", detail)
    if leads_out(path, root):
        raise FetchError("link_refused", "the file is a link that leads out of the folder")
    if path.is_dir():
        raise FetchError("unreadable", "what is in the folder cannot be listed")
    if not path.is_file():
        raise FetchError("unreadable", "not a file")


def _head(path: Path) -> bytes:
    """Return a file's first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as exc:
        raise FetchError("unreadable", os.strerror(exc.errno or 0)) from exc


def _taken(
    path: Path,
    name: str,
    content_type: str,
    caption: str,
    source: FolderSource,
    workspace: Workspace,
) -> RawImage:
    try:
        if path.stat().st_size > source.max_image_bytes:
            raise FetchError("too_large", f"more than the {source.max_image_bytes} bytes allowed")
        body = path.read_bytes()
    except OSError as exc:
        raise FetchError("unreadable", os.strerror(exc.errno or 0)) from exc
    origin = Origin(url=name, caption=caption, licence=source.licence, author=source.author)
    return kept_image(body, content_type, origin, workspace)
