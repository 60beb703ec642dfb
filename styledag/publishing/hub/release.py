"""One version of a folder that is published."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from styledag.store.digest import content_files

TAG_PREFIX = "styledag-"
_TAG_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is published.

    Attributes:
        folder: The folder.
        version: Digest of its content.
        source_revision: Where the content comes from.
    """

    folder: Path
    version: str
    source_revision: str

    @property
    def tag(self) -> str:
        """Name of the version for a reader: a git tag on the Hub."""
        return TAG_PREFIX + self.version[:_TAG_DIGITS]

    @property
    def title(self) -> str:
        """First line of the commit."""
        return f"Publish version {self.version[:_TAG_DIGITS]}"

    @property
    def description(self) -> str:
        """Further lines of the commit."""
        return f"Version: {self.version}\nSource revision: {self.source_revision}"

    def files(self) -> Mapping[str, Path]:
        """Return the files by their path in the repository."""
        return content_files(self.folder)
