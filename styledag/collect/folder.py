"""Images that are on the disk already, with the captions that trainers put beside them."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from styledag.collect.folder_captions import FolderCaptions, leads_out
from styledag.collect.harvest import Harvest, rejection
from styledag.collect.image_type import CODE_VERSION, image_type
from styledag.collect.read_files import ReadFiles, folder_digest
from styledag.collect.records import Origin, RawImage
from styledag.collect.settings import FolderSource
from styledag.collect.stored import Content, kept_content
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
    costs no image. An image that was read by an earlier run is not read again until the file
    changes.

    Raises:
        SourceError: If the folder is not there or holds no file.
    """
    root = str(project / source.path)
    if not os.path.isdir(root):
        raise SourceError(
            f"folder {source.path} is not in {project}: correct path in the style file, or make it"
        )
    files = {path: (escaped_name(path, root), refusal) for path, refusal in _files_below(root)}
    if not files:
        raise SourceError(f"no image found: folder {source.path} in {project} holds no file")
    images: list[RawImage] = []
    rejected: list[Rejection] = []
    captions = FolderCaptions(root, files)
    read = _read_files(source, workspace)
    with workspace.progress.task("images", len(files)) as advance:
        for path, (name, refusal) in sorted(files.items(), key=lambda item: item[1][0]):
            advance(1)
            if captions.is_metadata(path):
                continue
            try:
                if refusal is not None:
                    raise refusal
                content = _content(path, name, source, captions, read, workspace)
                if content is not None:
                    origin = Origin(
                        url=name,
                        caption=captions.of(path),
                        licence=source.licence,
                        author=source.author,
                    )
                    images.append(content.image(origin))
            except FetchError as exc:
                rejected.append(rejection(name, exc))
    read.save()
    rejected += captions.rejected(lambda path: escaped_name(path, root))
    return Harvest(tuple(images), tuple(rejected), inside=source.path)


def count_images(root: Path) -> int:
    """Return how many files below a folder are images by their content, but for hidden ones."""
    files = (path for path, refusal in _files_below(str(root)) if refusal is None)
    return sum(1 for path in files if _is_image(path))


def escaped_name(path: str, root: str) -> str:
    """Return a file's POSIX path below a folder, as text that any encoding can write.

    A byte that is not UTF-8 becomes ``%XX``; a ``%`` that could be taken for one becomes ``%25``,
    and every other character stays, so two files never have one name.
    """
    below = path.removeprefix(f"{root}{os.sep}") if path != root else "."
    name = _ESCAPE.sub("%25", below.replace(os.sep, "/"))
    return _SURROGATE.sub(lambda letter: f"%{ord(letter[0]) - 0xDC00:02X}", name)


def _files_below(root: str) -> Iterator[tuple[str, FetchError | None]]:
    """Yield the files, and folders that are not entered; with the reason why one is left out."""
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listed:
                entries = list(listed)
        except OSError:
            yield folder, FetchError("unreadable", "what is in the folder cannot be listed")
            continue
        for entry in entries:
            try:
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield entry.path, _refusal(entry, root)
            except OSError as exc:
                yield entry.path, _unreadable(exc)


def _refusal(entry: os.DirEntry[str], root: str) -> FetchError | None:
    """Return why a file is hidden, no file, or a link that is not followed; or nothing."""
    if entry.name.startswith("."):
        return FetchError("hidden", "its name begins with a dot")
    if entry.is_symlink():
        if os.path.isdir(entry.path):
            detail = "linked folders are not entered: name it as a source of its own"
            return FetchError("link_refused", detail)
        if leads_out(entry.path, root):
            return FetchError("link_refused", "the file is a link that leads out of the folder")
    if not entry.is_file():
        return FetchError("unreadable", "not a file")
    return None


def _unreadable(exc: OSError) -> FetchError:
    return FetchError("unreadable", os.strerror(exc.errno or 0))


def _is_image(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return bool(image_type(file.read(_HEAD_BYTES)))
    except OSError:
        return False


def _read_files(source: FolderSource, workspace: Workspace) -> ReadFiles:
    file = workspace.kept and workspace.kept / f"files-{folder_digest(source.path)}.json"
    return ReadFiles(file, made_by=CODE_VERSION, blobs=workspace.blobs)


def _content(
    path: str,
    name: str,
    source: FolderSource,
    captions: FolderCaptions,
    read: ReadFiles,
    workspace: Workspace,
) -> Content | None:
    """Return what an image's file holds, whose bytes are kept; ``None`` if it is a caption's.

    Raises:
        FetchError: If it is neither, is too large, or cannot be read.
    """
    asked_ns = time.time_ns()
    try:
        stat = os.stat(path)
        known = read.find(name, stat)
        if known is not None and known.size_bytes <= source.max_image_bytes:
            return known
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
            content_type = image_type(head)
            if not content_type:
                if captions.is_sidecar(path):
                    return None
                raise captions.refusal(path, head)
            if stat.st_size > source.max_image_bytes:
                limit = f"more than the {source.max_image_bytes} bytes allowed"
                raise FetchError("too_large", limit)
            content = kept_content(head + file.read(), content_type, workspace)
    except OSError as exc:
        raise _unreadable(exc) from exc
    read.add(name, stat, content, asked_ns=asked_ns)
    return content
