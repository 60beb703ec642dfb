"""Embeddings of samples, which are files of artifacts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from styledag.errors import StorageError
from styledag.images.embedding import Embedder
from styledag.images.similarity import Float32
from styledag.scoring.embeddings import image_embeddings, sha256_of
from styledag.store.workspace import Workspace


class SampleFiles:
    """Embeddings of images' files, each by the sha256 of its bytes."""

    def __init__(
        self, workspace: Workspace, embedder: Embedder, batch_size: int, work: str = "embeddings"
    ) -> None:
        self._embed = partial(
            image_embeddings, scorer=embedder, workspace=workspace, batch_size=batch_size, work=work
        )
        self._sha256s: dict[Path, str] = {}

    def sha256(self, path: Path) -> str:
        """Return the sha256 of an image's file, which is read once.

        Raises:
            StorageError: If it cannot be read.
        """
        if path not in self._sha256s:
            self._sha256s[path] = sha256_of(_read(path))
        return self._sha256s[path]

    def embed(self, paths: Sequence[Path]) -> Float32:
        """Return the embeddings of images, [n, d]."""
        embeddings = self._embed({self.sha256(path): partial(_read, path) for path in paths})
        return np.stack([embeddings[self.sha256(path)] for path in paths])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}") from exc
