"""What is known of an image as it was found."""

from dataclasses import dataclass, field

from styledag.manifest import VOLATILE

UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where an image comes from; carried through the graph to the dataset and the lineage.

    Attributes:
        url: Address of the image itself; for a folder, its POSIX path inside the folder.
        page_url: Page that showed it; empty for a folder.
        title: The page's title for it.
        alt: The image's alternative text.
        caption: Words written for this very image: a figcaption, or a sidecar file beside it.
        description: The page's text about it.
        licence: As the source states it, or ``unknown``.
        author: As the source states it.
    """

    url: str
    page_url: str = ""
    title: str = ""
    alt: str = ""
    caption: str = ""
    description: str = ""
    licence: str = UNKNOWN_LICENCE
    author: str = ""


@dataclass(frozen=True, kw_only=True)
class RawImage:
    """One image exactly as its source served it; its bytes are the blob ``sha256``."""

    origin: Origin
    sha256: str
    sha1: str
    size_bytes: int
    content_type: str
    etag: str = field(default="", metadata=VOLATILE)
    last_modified: str = field(default="", metadata=VOLATILE)

    @property
    def key(self) -> str:
        """Unique by the image's address."""
        return self.origin.url
