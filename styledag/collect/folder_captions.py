"""Captions as trainers write them: text files beside images, and tables of a folder's files."""

import json
import os
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path

from styledag.collect.caption_tables import (
    TABLES,
    caption_in,
    read_table,
    second_caption,
    text_alone,
)
from styledag.collect.image_type import no_image
from styledag.collect.written_texts import AlikeNames, decoded_text
from styledag.errors import FetchError
from styledag.manifest import Rejection

SIDECARS = (".txt", ".caption", ".json")
MOST_SIDECAR_BYTES = 100_000


def leads_out(path: str, root: str) -> bool:
    """Return whether a file is a link to somewhere outside a folder.

    Args:
        path: A file whose folders below ``root`` are no links.
        root: The folder.
    """
    return os.path.islink(path) and not Path(path).resolve().is_relative_to(Path(root).resolve())


class FolderCaptions:
    """The captions below a folder; what of them cannot be read is remembered.

    Args:
        root: The folder.
        files: The paths of all files below it.
    """

    def __init__(self, root: str, files: Collection[str]) -> None:
        self._root = root
        self._files = files
        self._names = AlikeNames(files)
        stems = (stem for stem, suffix in map(_parts, files) if suffix not in SIDECARS)
        self._targets = AlikeNames((*files, *stems))
        self._sidecars: dict[tuple[str, str], str] = {}
        alike: list[tuple[tuple[str, str], str]] = []
        for path in sorted(files):
            stem, suffix = _parts(path)
            target = self._targets.find(stem) if suffix in SIDECARS else None
            if target == stem:
                self._sidecars.setdefault((stem, suffix), path)
            elif target is not None:
                alike.append(((target, suffix), path))
        # A name that is spelt exactly so comes before one that is alike.
        for named, path in alike:
            self._sidecars.setdefault(named, path)
        self._problems: list[tuple[str, str, str]] = []

    def is_metadata(self, path: str) -> bool:
        """Return whether a file is a table of captions."""
        return os.path.basename(path) in TABLES

    def is_sidecar(self, path: str) -> bool:
        """Return whether a file is named like the caption of another one here."""
        stem, suffix = _parts(path)
        return suffix in SIDECARS and self._targets.find(stem) is not None

    def refusal(self, path: str, head: bytes) -> FetchError:
        """Return why a file is left out that is neither an image nor the caption of one.

        Args:
            path: The file.
            head: Its first bytes.
        """
        return text_alone() if _parts(path)[1] in SIDECARS else no_image(head)

    def of(self, image: str) -> str:
        """Return an image's caption as it is written, without the blanks around it; or empty."""
        stem, _ = _parts(image)
        for suffix in SIDECARS:
            for named in (stem, image):
                sidecar = self._sidecars.get((named, suffix), image)
                text = "" if sidecar == image else self._sidecar(sidecar)
                # A downloader's .json may say other things; an empty text is meant.
                if text or (sidecar != image and suffix != ".json"):
                    return text
        return self._listed.get(image, "")

    def rejected(self, name: Callable[[str], str]) -> list[Rejection]:
        """Return what could not be read so far, and table rows whose files are not there.

        Args:
            name: Returns the name by which a path is counted.
        """
        missing = [
            (path, "file_missing", "a table of captions names it, but it is not there")
            for path in self._listed
            if path not in self._files
        ]
        problems = dict.fromkeys((*self._problems, *missing))
        return [
            Rejection(subject=name(path), reason=reason, detail=detail)
            for path, reason, detail in problems
        ]

    def _sidecar(self, path: str) -> str:
        try:
            if leads_out(path, self._root):
                raise ValueError("it is a link that leads out of the folder")
            with open(path, "rb") as file:
                content = file.read(MOST_SIDECAR_BYTES + 1)
            if len(content) > MOST_SIDECAR_BYTES:
                raise ValueError(f"it has more than {MOST_SIDECAR_BYTES} bytes")
            text = decoded_text(content).strip()
            return caption_in(json.loads(text)) if _parts(path)[1] == ".json" else text
        except (OSError, ValueError, RecursionError) as exc:
            self._problems.append((path, "sidecar_refused", str(exc)))
            return ""

    @cached_property
    def _listed(self) -> dict[str, str]:
        """Captions by file, of all tables; the first that names a file counts."""
        listed: dict[str, str] = {}
        tables = [Path(path) for path in self._files if self.is_metadata(path)]
        for path in sorted(tables):
            try:
                content = path.read_bytes()
            except OSError as exc:
                self._refuse(str(path), str(exc))
                continue
            for row in read_table(path.name, content):
                if isinstance(row, str):
                    self._refuse(str(path), row)
                    continue
                named, text = str(path.parent / row[0]), row[1]
                file = self._names.find(named) or named
                if listed.setdefault(file, text) != text:
                    error = second_caption(text)
                    self._problems.append((file, error.reason, error.detail))
        return listed

    def _refuse(self, table: str, detail: str) -> None:
        self._problems.append((table, "metadata_refused", detail))


def _parts(path: str) -> tuple[str, str]:
    """Return a path without its ending, and this in small letters."""
    stem, suffix = os.path.splitext(path)
    return stem, suffix.lower()
