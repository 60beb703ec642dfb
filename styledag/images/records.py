"""What is known of an image once it is a JPEG, and once it is curated."""

from dataclasses import dataclass

from styledag.collect.records import Origin


@dataclass(frozen=True, kw_only=True)
class _StoredImage:
    """One RGB JPEG of a declared size; its bytes are the blob ``sha256``.

    Attributes:
        origin: Where the image comes from.
        raw_sha256: Blob as the source served it, which the JPEG was made from.
        sha256: Blob of the JPEG; the sample id once the images are curated.
        width_px: Width of the JPEG.
        height_px: Height of the JPEG.
        raw_width_px: Width of the original, upright.
        raw_height_px: Height of the original, upright.
        crop_left_px: What is cut off on the left of the original, once that is scaled.
        crop_top_px: What is cut off above.
    """

    origin: Origin
    raw_sha256: str
    sha256: str
    width_px: int
    height_px: int
    raw_width_px: int
    raw_height_px: int
    crop_left_px: int
    crop_top_px: int


@dataclass(frozen=True, kw_only=True)
class JpegImage(_StoredImage):
    """One image as it was converted.

    Attributes:
        raw_format: Pillow's name of the original's format.
        frames: Frames of the original; only the first is kept.
        notes: Reasons for what was done beyond the ordinary, such as ``icc_ignored``.
    """

    raw_format: str
    frames: int = 1
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique by the image's address."""
        return self.origin.url


@dataclass(frozen=True, kw_only=True)
class CuratedImage(_StoredImage):
    """One image to train on.

    Attributes:
        family: sha256 of the JPEG at the centre of its family of near-duplicates.
        family_size: Members of the family before the cap.
        copies: Addresses of the copies that were dropped in its favour.
    """

    family: str
    family_size: int
    copies: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique by the JPEG's content."""
        return self.sha256
