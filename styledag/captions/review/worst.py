"""Captions in the order in which a person should look at them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from styledag.captions.records import CaptionedImage


@dataclass(frozen=True, kw_only=True)
class ReviewedCaption:
    """One image with its caption, and how well they agree.

    Attributes:
        row: The captioned image.
        similarity: Cosine of image and caption in the scorer's space; higher is nearer.
        repeats: How many images have this very caption.
    """

    row: CaptionedImage
    similarity: float
    repeats: int

    @property
    def is_by_hand(self) -> bool:
        """Whether a person wrote it."""
        return self.row.source == "override"


def worst_first(
    rows: Sequence[CaptionedImage], similarities: Mapping[str, float]
) -> list[ReviewedCaption]:
    """Return captions by rising similarity to their image; those that a person wrote come last.

    Args:
        rows: The captioned images.
        similarities: Cosine of image and caption by the image's sha256.
    """
    counts = Counter(row.caption for row in rows)
    reviewed = [
        ReviewedCaption(row=row, similarity=similarities[row.key], repeats=counts[row.caption])
        for row in rows
    ]
    return sorted(reviewed, key=lambda each: (each.is_by_hand, each.similarity, each.row.key))
