"""Writing tensors: every way in which the disk may refuse, as one error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from styledag.errors import StorageError
from styledag.store.files import storage_errors


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system and of safetensors into ones that say what to do.

    Raises:
        StorageError: In place of any of them.
    """
    with storage_errors(str(path)):
        try:
            yield
        except SafetensorError as exc:
            raise StorageError(
                f"cannot write {path} ({exc}): free space on its disk, then run again; "
                "what was there before is untouched"
            ) from exc
