"""Images and pages by the sha256 of their bytes: stored once, whoever refers to them."""

import hashlib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from styledag.errors import StorageError
from styledag.store.files import Files


class Blobs:
    """Immutable byte strings, each under its own sha256."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def put(self, content: bytes) -> str:
        """Store bytes and return their sha256 in hexadecimal."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self._files.exists(_name(sha256)):
            self._files.write(_name(sha256), content)
        return sha256

    def has(self, sha256: str) -> bool:
        """Return whether the bytes are there."""
        return self._files.exists(_name(sha256))

    def known(self, sha256s: Iterable[str]) -> set[str]:
        """Return those of many sha256s whose bytes are there: folder by folder, not one by one."""
        wanted = set(sha256s)
        folders = sorted({sha256[:2] for sha256 in wanted})
        return wanted.intersection(
            *[chain.from_iterable(self._files.names(f"blobs/{each}") for each in folders)]
        )

    def read(self, sha256: str) -> bytes:
        """Return the bytes of a sha256.

        Raises:
            StorageError: If they are missing from the store.
        """
        content = self._files.read(_name(sha256))
        if content is None:
            raise StorageError(f"{self._files.describe(_name(sha256))} is missing from the store")
        return content

    def path(self, sha256: str) -> Path:
        """Return a local path to the bytes of a sha256.

        Raises:
            StorageError: If they are missing from the store.
        """
        return self._files.local(_name(sha256))


def _name(sha256: str) -> str:
    return f"blobs/{sha256[:2]}/{sha256}"
