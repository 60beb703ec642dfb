"""Captions as trainers write them: text files beside images, and tables of a folder's files."""

import json
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


def leads_out(path: Path, root: Path) -> bool:
    """Return whether a file is a link to somewhere outside a folder.

    Args:
        path: A file whose folders below ``root`` are no links.
        root: The folder.
    """
    return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())


class FolderCaptions:
    """The captions below a folder; what of them cannot be read is remembered."""

    def __init__(self, root: Path, files: Collection[Path]) -> None:
        self._root = root
        self._files = files
        images = [path for path in files if path.suffix.lower() not in SIDECARS]
        self._names = AlikeNames(map(str, files))
        self._targets = AlikeNames(
            map(str, (*files, *(path.with_suffix("") for path in images))),
        )
        self._sidecars: dict[tuple[Path, str], Path] = {}
        sidecars = [path for path in sorted(files) if path.suffix.lower() in SIDECARS]
        # A name that is spelt exactly so comes before one that is alike.
        for path in sorted(sidecars, key=lambda path: self._target(path) != path.with_suffix("")):
            target = self._target(path)
            if target is not None:
                self._sidecars.setdefault((target, path.suffix.lower()), path)
        self._problems: list[tuple[Path, str, str]] = []

    def is_metadata(self, path: Path) -> bool:
        """Return whether a file is a table of captions."""
        return path.name in TABLES

    def is_sidecar(self, path: Path) -> bool:
        """Return whether a file is named like the caption of another one here."""
        return path.suffix.lower() in SIDECARS and self._target(path) is not None

    def _target(self, sidecar: Path) -> Path | None:
        """Return what a sidecar is named after: a file, or one without its ending."""
        found = self._targets.find(str(sidecar.with_suffix("")))
        return None if found is None else Path(found)

    def refusal(self, path: Path, head: bytes) -> FetchError:
        """Return why a file is left out that is neither an image nor the caption of one.

        Args:
            path: The file.
            head: Its first bytes.
        """
        return text_alone() if path.suffix.lower() in SIDECARS else no_image(head)

    def of(self, image: Path) -> str:
        """Return an image's caption as it is written, without the blanks around it; or empty."""
        for suffix in SIDECARS:
            for named in (image.with_suffix(""), image):
                sidecar = self._sidecars.get((named, suffix), image)
                text = "" if sidecar == image else self._sidecar(sidecar)
                # A downloader's .json may say other things; an empty text is meant.
                if text or (sidecar != image and suffix != ".json"):
                    return text
        return self._listed.get(image, "")

    def rejected(self, name: Callable[[Path], str]) -> list[Rejection]:
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

    def _sidecar(self, path: Path) -> str:
        try:
            if leads_out(path, self._root):
                raise ValueError("it is a link that leads out of the folder")
            if path.stat().st_size > MOST_SIDECAR_BYTES:
                raise ValueError(f"it has more than {MOST_SIDECAR_BYTES} bytes")
            text = decoded_text(path.read_bytes()).strip()
            return caption_in(json.loads(text)) if path.suffix.lower() == ".json" else text
        except (OSError, ValueError, RecursionError) as exc:
            self._problems.append((path, "sidecar_refused", str(exc)))
            return ""

    @cached_property
    def _listed(self) -> dict[Path, str]:
        """Captions by file, of all tables; the first that names a file counts."""
        listed: dict[Path, str] = {}
        for path in sorted(path for path in self._files if self.is_metadata(path)):
            try:
                content = path.read_bytes()
            except OSError as exc:
                self._refuse(path, str(exc))
                continue
            for row in read_table(path.name, content):
                if isinstance(row, str):
                    self._refuse(path, row)
                    continue
                named, text = str(path.parent / row[0]), row[1]
                file = Path(self._names.find(named) or named)
                if listed.setdefault(file, text) != text:
                    error = second_caption(text)
                    self._problems.append((file, error.reason, error.detail))
        return listed

    def _refuse(self, table: Path, detail: str) -> None:
        self._problems.append((table, "metadata_refused", detail))
