"""What a style file decides of the checks that are made of each asset."""

from dataclasses import dataclass
from typing import Literal

from styledag.settings import StrictSettings, setting

CheckName = Literal[
    "nothing_lost",
    "captions_vary",
    "captions_fit",
    "captions_language",
    "dataset_not_shrunk",
    "loss_finite",
    "loss_falls",
    "average_is_its_own",
    "copying_within_limit",
    "style_learned",
    "base_remembered",
    "report_opens",
    "stored_as_published",
]


@dataclass(frozen=True, kw_only=True)
class CheckSettings(StrictSettings):
    """Limits of the checks, and which of them are errors.

    An error stops what would be made of the asset: no training is wasted on a dataset that lost
    half of its images. All others warn.
    """

    errors: tuple[CheckName, ...] = setting(
        ("nothing_lost", "dataset_not_shrunk", "loss_finite", "average_is_its_own", "report_opens"),
        help="Checks whose failure stops what follows; all others warn.",
    )
    max_shrink_share: float = setting(
        0.2, ge=0, le=1, help="Share of the images of the last training that may be gone."
    )
    max_repeated_caption_share: float = setting(
        0.5, ge=0, le=1, help="Share of the images that may have one and the same caption."
    )
    max_cut_caption_share: float = setting(
        0.1, ge=0, le=1, help="Share of the captions that may be cut to the base's length."
    )
    caption_language: str | None = setting(
        "en",
        pattern="^[a-z]{2,3}$",
        help="ISO 639 code of the language that the base reads; null for any.",
    )
    max_copying_share: float = setting(
        0.05,
        ge=0,
        le=1,
        help="Share of the recommended model's samples that may be copies of training images.",
    )
    min_style_learned: float = setting(
        0.0, help="Least share of the base's loss on the style that the recommended model lost."
    )
    min_base_remembered: float = setting(
        0.5,
        ge=0,
        help="Least ratio of the base's loss on its own images to the recommended model's.",
    )
