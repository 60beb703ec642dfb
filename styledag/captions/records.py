"""An image with its caption, and where the words come from."""

from dataclasses import dataclass

from styledag.images.records import CuratedImage


@dataclass(frozen=True, kw_only=True)
class CaptionedImage:
    """One image with its caption.

    Attributes:
        image: The image.
        raw_caption: Word for word as its source gave it.
        cleaned_caption: What the rules leave of it; of several lines, if each is a caption.
        caption: The cleaned caption, or its first line, in the style's template, within the
            base's limit of tokens.
        source: Where the words come from, as the style file's ``captions.sources`` calls it.
        rules_version: Version of the cleaning rules.
        template: The style's template.
        captioner: Version of the captioner and its settings, as JSON, where it was asked.
        rule_hits: Rules that changed something.
        variants: The same caption in the further templates, and its further lines in all, within
            the limit too; each, and the caption itself, as often as the style's weights say beyond
            the caption's first time.
    """

    image: CuratedImage
    raw_caption: str
    cleaned_caption: str
    caption: str
    source: str
    rules_version: str
    template: str
    captioner: str = ""
    rule_hits: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique by the JPEG's content."""
        return self.image.sha256
