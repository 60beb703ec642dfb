"""Embeddings of images and texts, each computed once and remembered."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from styledag.errors import DataError, StorageError
from styledag.images.embedding import Embedder
from styledag.images.similarity import Float32
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

NAMESPACE = "scorer_embeddings"
_TEXT_CODE = 2
"""Raise it when the same text gives another embedding."""


class Scorer(Embedder, Protocol):
    """Turns images, and texts where it reads them, into unit vectors of one space."""

    @property
    def reads_text(self) -> bool:
        """Whether it embeds texts."""

    def reads_whole(self, text: str) -> bool:
        """Return whether a text is no longer than it reads."""

    def embed_texts(self, texts: Sequence[str]) -> Float32:
        """Return one L2-normalised row for each text, float32 ``[n, d]``."""


def image_embeddings(
    images: Mapping[str, Callable[[], bytes]],
    scorer: Embedder,
    workspace: Workspace,
    *,
    batch_size: int,
    work: str = "embeddings",
) -> Mapping[str, Float32]:
    """Return the embedding of each image, computing only those that are not known.

    Args:
        images: What reads an image's bytes, by the sha256 of them.
        scorer: Embeds them.
        workspace: Remembers embeddings, and counts those really computed.
        batch_size: Images in memory at a time.
        work: What they are counted as.

    Raises:
        DataError: If an image cannot be decoded.
    """

    def embed(batch: Sequence[str]) -> Float32:
        return scorer([_decoded(sha256, images[sha256]()) for sha256 in batch])

    keys = {sha256: item_key(scorer=scorer.version, image=sha256) for sha256 in sorted(images)}
    return _remembered(keys, embed, workspace, batch_size, work)


def text_embeddings(
    texts: Sequence[str], scorer: Scorer, workspace: Workspace, *, batch_size: int
) -> Mapping[str, Float32]:
    """Return the embedding of each text, computing only those that are not known."""
    keys = {
        text: item_key(scorer=scorer.version, code=_TEXT_CODE, text=text)
        for text in sorted(set(texts))
    }
    return _remembered(keys, scorer.embed_texts, workspace, batch_size, "embeddings")


def sha256_of(content: bytes) -> str:
    """Return the sha256 of an image's bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _remembered(
    keys: Mapping[str, str],
    embed: Callable[[Sequence[str]], Float32],
    workspace: Workspace,
    batch_size: int,
    work: str,
) -> Mapping[str, Float32]:
    known = workspace.items.get_many(NAMESPACE, list(keys.values()))
    rows = {name: np.frombuffer(known[key], "<f4") for name, key in keys.items() if key in known}
    missing = [name for name in keys if name not in rows]
    with workspace.progress.task(work, len(keys)) as advance:
        advance(len(rows))
        for start in range(0, len(missing), batch_size):
            batch = missing[start : start + batch_size]
            for name, row in zip(batch, embed(batch), strict=True):
                rows[name] = row
                workspace.items.put(NAMESPACE, keys[name], row.astype("<f4").tobytes())
            workspace.work[work] += len(batch)
            advance(len(batch))
    return rows


def _decoded(sha256: str, content: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as exc:
        raise DataError(f"image {sha256} cannot be decoded ({exc}): make it anew") from exc


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
