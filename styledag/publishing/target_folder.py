"""A folder that is written outside the store: it appears whole, and replaces nothing of others."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from styledag.errors import StorageError
from styledag.store.files import replaced_folder, storage_errors

MARKER = ".styledag-export"
"""File by which an earlier export is recognised, with the names of what it wrote."""
_WRITTEN_LATER = frozenset({MARKER, "README.md", "samples.png"})
"""A model's card and sample grid are written once the model is there."""
_OF_FILE_MANAGERS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@contextmanager
def target_folder(target: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes ``target`` when the block ends without an error.

    Args:
        target: The folder; an empty one or an earlier export is replaced.

    Raises:
        StorageError: If it contains anything else, such as what was trained there, or cannot be
            written.
    """
    target = target.resolve()  # a link to another disk stays one
    _check(target)
    with storage_errors(str(target)), replaced_folder(target) as partial:
        yield partial
        names = sorted(path.name for path in partial.iterdir())
        (partial / MARKER).write_text(json.dumps(names) + "\n", encoding="utf-8")


def trained_folder(target: Path) -> Path:
    """Return where a trainer writes: beside an export, which the next export replaces."""
    return target.with_name(f"{target.name}-trained")


def _check(target: Path) -> None:
    found = {path.name for path in target.iterdir()} if target.exists() else set[str]()
    found -= _OF_FILE_MANAGERS
    if not found:
        return
    try:
        written = json.loads((target / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise StorageError(
            f"{target} is not empty and no earlier export: name another folder"
        ) from exc
    others = sorted(found - _WRITTEN_LATER - set(written))
    if others:
        raise StorageError(
            f"{target} is an earlier export, but {', '.join(others[:5])} in it is not of it: move "
            "that away, or name another folder"
        )
