"""A folder that is written outside the store: it appears whole, and replaces nothing of others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from styledag.errors import StorageError
from styledag.store.files import replaced_folder, storage_errors

MARKER = ".styledag-export"
"""File by which an earlier export is recognised, and may be replaced."""


@contextmanager
def target_folder(target: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes ``target`` when the block ends without an error.

    Args:
        target: The folder; an empty one or an earlier export is replaced.

    Raises:
        StorageError: If it contains anything else, or cannot be written.
    """
    if target.exists() and any(target.iterdir()) and not (target / MARKER).is_file():
        raise StorageError(f"{target} is not empty and no earlier export: name another folder")
    with storage_errors(str(target)), replaced_folder(target) as partial:
        (partial / MARKER).write_text("written by styledag\n", encoding="utf-8")
        yield partial
