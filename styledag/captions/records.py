"""What is said of an image, and by whom."""

from dataclasses import dataclass

from styledag.images.records import CuratedImage


@dataclass(frozen=True, kw_only=True)
class CaptionedImage:
    """One image with its caption.

    Attributes:
        image: The image.
        raw_caption: Word for word as its source gave it.
        caption: Cleaned, in the style's template, within CLIP's 77 tokens.
        source: ``blip``, ``page`` or ``hand``.
        rules_version: Version of the cleaning rules.
        rule_hits: Rules that changed something.
        variants: The same caption in the further templates, within 77 tokens too.
    """

    image: CuratedImage
    raw_caption: str
    caption: str
    source: str
    rules_version: str
    rule_hits: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique by the JPEG's content."""
        return self.image.sha256
