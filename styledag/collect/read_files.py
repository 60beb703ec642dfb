"""What was read of a folder's images, so that one that stays as it is need not be read again."""

import hashlib
import json
import os
from pathlib import Path

from styledag.collect.stored import Content
from styledag.store.blobs import Blobs
from styledag.store.files import replaced

_SETTLED_NS = 2_000_000_000
"""The coarsest times that file systems state, those of FAT, are two seconds apart."""


class ReadFiles:
    """The contents of images that were read, each while its size, times and inode stay the same.

    A program can set a file's ``st_mtime``, and not its ``st_ctime``, where the file system keeps
    both: some over a network do not. A file that was changed right before it was read is read
    again: the next change might bear the same time.

    Args:
        file: Where this is kept; may be removed at any time. Nothing is kept without.
        made_by: All that decides how a file is read; what was read by another is forgotten.
        blobs: Where the bytes of images must be, or they are read again.
    """

    def __init__(self, file: Path | None, *, made_by: str, blobs: Blobs) -> None:
        self._file = file
        self._made_by = made_by
        self._before = self._read()
        self._stored = blobs.known(each.sha256 for _, each in self._before.values())
        self._now: dict[str, tuple[str, Content]] = {}

    def find(self, name: str, stat: os.stat_result) -> Content | None:
        """Return what a file holds, if it was read as it is.

        Args:
            name: The file's, below its folder.
            stat: What the system says of it now.
        """
        stamp, content = self._before.get(name, ("", None))
        if content is None or stamp != _stamp(stat) or content.sha256 not in self._stored:
            return None
        self._now[name] = stamp, content
        return content

    def add(self, name: str, stat: os.stat_result, content: Content, *, asked_ns: int) -> None:
        """Remember what a file holds.

        Args:
            name: The file's, below its folder.
            stat: What the system said of it before it was read.
            content: What was read.
            asked_ns: When the system was asked, in nanoseconds of the clock.
        """
        if stat.st_ctime_ns + _SETTLED_NS < asked_ns:
            self._now[name] = _stamp(stat), content

    def save(self) -> None:
        """Keep what was found and added, and forget all else."""
        if self._file is None or self._now == self._before:
            return
        files = {name: [stamp, vars(each)] for name, (stamp, each) in self._now.items()}
        with replaced(self._file) as partial:
            partial.write_text(json.dumps({"made_by": self._made_by, "files": files}))

    def _read(self) -> dict[str, tuple[str, Content]]:
        if self._file is None:
            return {}
        try:
            known = json.loads(self._file.read_bytes())
            if known["made_by"] != self._made_by:
                return {}
            return {
                name: (stamp, Content(**each)) for name, (stamp, each) in known["files"].items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}


def _stamp(stat: os.stat_result) -> str:
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino} {stat.st_dev}"


def folder_digest(path: str) -> str:
    """Return a name for a file about a folder."""
    return hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:16]
