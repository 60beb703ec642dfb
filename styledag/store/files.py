"""Atomic reads and writes on a folder or on any fsspec URL."""

import errno
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from styledag.errors import StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Files:
    """One root, local or remote, below which whole files appear at once or not at all.

    Args:
        url: A folder or an fsspec URL such as ``s3://bucket/store``.
        cache: Local folder for what a remote root has to be copied to; unused for a local root.

    Raises:
        StorageError: If the URL's protocol is unknown or its package is not installed.
    """

    def __init__(self, url: str, *, cache: Path) -> None:
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        try:
            self.fs, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as exc:
            raise StorageError(f"store {url!r} cannot be opened: {exc}") from exc
        # Another machine may publish and remove: a listing that is remembered hides both.
        self.fs.dircache.use_listings_cache = False
        self.fs.invalidate_cache()
        self.root = root.rstrip("/")
        self.is_local = isinstance(self.fs, LocalFileSystem)
        self.cache = Path(self.root) if self.is_local else cache

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or ``None`` if there is none."""
        path = self._at(name)
        with storage_errors(path):
            try:
                if not self.is_local:
                    return bytes(self.fs.cat_file(path))
                # fsspec would take as long again to open a local file.
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                    return file.readall()
            except FileNotFoundError:
                return None

    def read_many(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the contents of those files that exist, by name."""
        if self.is_local:
            found = ((name, self.read(name)) for name in names)
            return {name: content for name, content in found if content is not None}
        by_path = {self._at(name): name for name in names}
        if not by_path:
            return {}
        with storage_errors(self.root):
            contents = self.fs.cat(list(by_path), on_error="omit", recursive=False)
        if isinstance(contents, bytes):
            contents = {next(iter(by_path)): contents}
        return {by_path[path]: content for path, content in contents.items()}

    def exists(self, name: str) -> bool:
        """Return whether the file is there."""
        path = self._at(name)
        if self.is_local:
            # Not pathlib: its objects would take longer than the question, here and in read.
            return os.path.exists(path)  # noqa: PTH110
        with storage_errors(path):
            return bool(self.fs.exists(path))

    def names(self, folder: str) -> list[str]:
        """Return the sorted names directly below a folder; empty if it is not there."""
        path = self._at(folder)
        with storage_errors(path):
            try:
                if self.is_local:
                    return sorted(os.listdir(path))  # noqa: PTH208
                paths = self.fs.ls(path, detail=False, refresh=True)
            except FileNotFoundError:
                return []
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file; a reader or a killed writer never leaves or sees half of one."""
        path = self._at(name)
        if self.is_local:
            with replaced(Path(path)) as partial:
                partial.write_bytes(content)
            return
        with storage_errors(path):
            self.fs.pipe_file(path, content)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        path = self._at(name)
        with storage_errors(path):
            if self.fs.exists(path):
                self.fs.rm_file(path)

    def remove_folder(self, name: str) -> None:
        """Remove a folder with all that is in it, if it is there."""
        path = self._at(name)
        with storage_errors(path):
            if self.fs.exists(path):
                self.fs.rm(path, recursive=True)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of every file below a folder, by its name from the root."""
        path = self._at(folder)
        with storage_errors(path):
            try:
                found = self.fs.find(path, detail=True)
            except FileNotFoundError:
                return {}
        return {
            path.removeprefix(f"{self.root}/"): int(each["size"]) for path, each in found.items()
        }

    def require_space(self, needed: int) -> None:
        """Check that work in progress finds room on the local disk.

        Raises:
            StorageError: If they are not free.
        """
        with storage_errors(str(self.cache)):
            self.cache.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.cache).free
        if free < needed:
            raise StorageError(
                f"{needed / 1e9:.1f} GB are about to be written to {self.cache}, and "
                f"{free / 1e9:.1f} GB are free: `styledag gc` names what can be removed"
            )

    def publish(self, folder: Path, name: str, *, last: str) -> None:
        """Make a finished local folder appear under ``name``; a folder already there wins.

        Args:
            folder: Finished local folder; gone afterwards.
            name: Where it shall appear.
            last: File in it that marks it as whole, so that it is uploaded after all others.
        """
        path = self._at(name)
        with storage_errors(path):
            if self.is_local:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                try:
                    folder.rename(path)
                except OSError as exc:
                    if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                return
            inside = sorted(file for file in folder.rglob("*") if file.is_file())
            for file in sorted(inside, key=lambda file: file.name == last):
                self.fs.put_file(str(file), f"{path}/{file.relative_to(folder).as_posix()}")

    def local(self, name: str) -> Path:
        """Return a local path to a file or a folder, copying it once from a remote root.

        Raises:
            StorageError: If there is no such file or folder.
        """
        if self.is_local:
            path = Path(self._at(name))
            if not path.exists():
                raise StorageError(f"{path} is missing from the store")
            return path
        target = self.cache / "copies" / name
        if not target.exists():
            partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
            partial.parent.mkdir(parents=True, exist_ok=True)
            with storage_errors(str(target)):
                try:
                    self.fs.get(self._at(name), str(partial), recursive=True)
                except FileNotFoundError as exc:
                    raise StorageError(f"{self._at(name)} is missing from the store") from exc
                partial.rename(target)
        return target

    def describe(self, name: str) -> str:
        """Return the full path or URL of a name, for a person."""
        return self._at(name) if self.is_local else str(self.fs.unstrip_protocol(self._at(name)))

    def modified(self, name: str) -> datetime:
        """Return when a file was written, in UTC."""
        path = self._at(name)
        with storage_errors(path):
            written: datetime = self.fs.modified(path)
        return written

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"


@contextmanager
def storage_errors(path: str) -> Iterator[None]:
    """Turn the operating system's errors into ones that say what to do.

    Raises:
        StorageError: In place of any ``OSError``, and what stands for one with a remote store.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise StorageError(
                f"no space left on the disk that holds {path}: free some, then run again; "
                "what was there before is untouched"
            ) from exc
        reason = os.strerror(exc.errno) if exc.errno else str(exc)
        raise StorageError(f"cannot use {path}: {reason}") from exc
    except _loaded(_REMOTE_ERRORS) as exc:
        raise StorageError(f"cannot use {path}: {exc}") from exc


_REMOTE_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
)
"""What the packages behind fsspec raise that is no ``OSError``, by module and name."""


def _loaded(errors: Sequence[tuple[str, str]]) -> tuple[type[Exception], ...]:
    """Return those classes of errors whose package is in use."""
    return tuple(
        getattr(sys.modules[module], name) for module, name in errors if module in sys.modules
    )


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield where to write a local file that takes its place once the block has ended well.

    A writer that fails or is killed leaves what was there before, and several may write at once.

    Raises:
        StorageError: If the disk is full or cannot be written.
    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    with storage_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield a local folder to fill that takes a folder's place once the block has ended well.

    Raises:
        StorageError: If one of the two cannot be made, removed or renamed.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    with storage_errors(str(folder)):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    try:
        yield partial
        with storage_errors(str(folder)):
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def link_tree(source: Path, target: Path) -> None:
    """Give a folder's files a second name, so that gigabytes are not written twice."""
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def written_below(folder: Path) -> Iterator[None]:
    """Turn errors of the operating system about files below a folder into storage errors.

    An error about anything else, such as a connection or a file of the user's, is none of storage
    and passes as it is.

    Raises:
        StorageError: If the disk is full, or a file below the folder cannot be used.
    """
    try:
        yield
    except OSError as exc:
        named = [Path(os.fsdecode(name)) for name in (exc.filename, exc.filename2) if name]
        if exc.errno in _FULL or any(path.is_relative_to(folder) for path in named):
            with storage_errors(str(folder)):
                raise
        raise
