"""What a style file says of normalising and curating images."""

from dataclasses import dataclass, replace
from typing import Literal

from styledag.settings import StrictSettings, setting


@dataclass(frozen=True, kw_only=True)
class ImageSettings(StrictSettings):
    """How every image becomes an RGB JPEG of one size, or of one of a few of the same area."""

    size_px: int = setting(512, ge=16, le=4096, multiple_of=8, help="Side of the square JPEG.")
    mode: Literal["pad", "crop", "bucket"] = setting(
        "crop",
        help="pad shows the whole image on the background; crop fills the square; bucket crops "
        "least, to the nearest aspect of several shapes of about size_px squared pixels.",
    )
    bucket_step_px: int | None = setting(
        None,
        ge=8,
        multiple_of=8,
        help="Mode bucket: sides are multiples of this; 64, or an eighth of a smaller size_px, "
        "when left out.",
    )
    bucket_max_aspect: float | None = setting(
        None,
        ge=1,
        le=4,
        help="Mode bucket: most of longer over shorter side, 2 when left out; narrower images "
        "are cropped to it.",
    )
    upscale: bool = setting(True, help="Enlarge images smaller than size_px; else reject them.")
    background: str = setting(
        "#ffffff", pattern=r"^#[0-9a-fA-F]{6}$", help="Colour under transparency and padding."
    )
    quality: int = setting(95, ge=50, le=100, help="JPEG quality; chroma is never subsampled.")
    max_pixels: int = setting(
        100_000_000, ge=1, help="An image of more pixels than this is rejected."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode != "bucket":
            for name in ("bucket_step_px", "bucket_max_aspect"):
                if getattr(self, name) is not None:
                    raise ValueError(f"mode {self.mode!r} has no buckets: remove {name}")
        if self.bucket_step_px is not None and self.bucket_step_px > self.size_px:
            raise ValueError(
                f"bucket_step_px is {self.bucket_step_px}, more than size_px, {self.size_px}"
            )


@dataclass(frozen=True, kw_only=True)
class CurationSettings(StrictSettings):
    """Which images are left out: copies, surplus members of families, poor quality."""

    copy_hash_distance: int = setting(
        4,
        ge=0,
        le=16,
        help="Images whose 64-bit perceptual hashes differ in at most this many "
        "bits may be copies.",
    )
    copy_similarity: float = setting(
        0.98, ge=0, le=1, help="... and are copies if their embeddings are at least this similar."
    )
    mirrored_copies: bool | None = setting(
        None,
        help="Whether a mirror image is a copy; if any recipe flips images, when left out.",
    )
    embedding: Literal["pixels", "scorer"] = setting(
        "scorer", help="What similarity is measured on: the scorer's image tower, or small pixels."
    )
    family_similarity: float = setting(
        0.9, ge=0, le=1, help="Images at least this similar to a family's centre belong to it."
    )
    family_cap: int | None = setting(
        None, ge=1, help="Most images to keep of one family; all when left out."
    )
    min_side_px: int = setting(
        1, ge=1, help="Shorter side of the original below which an image is rejected."
    )
    max_aspect: float = setting(
        10.0, ge=1, help="Longer over shorter side above which an image is rejected."
    )
    min_contrast: float = setting(
        2.0, ge=0, le=127.5, help="Standard deviation of luma, 0 to 127.5, below which it is blank."
    )
    min_sharpness: float = setting(
        0.0,
        ge=0,
        help="Standard deviation of luma's Laplacian in the JPEG below which an image is blurred; "
        "0 keeps all, flat drawings have 20 and more.",
    )
    min_saturation: float = setting(
        0.0,
        ge=0,
        le=255,
        help="Mean difference of a pixel's largest and smallest channel below which an image is "
        "greyscale; 0 keeps all, 2 leaves out scans in grey.",
    )
    max_letters: int | None = setting(
        None,
        ge=0,
        help="Letters and digits read in the JPEG above which text lies over an image; all are "
        "kept when left out. Needs styledag[text].",
    )
    keep: tuple[str, ...] = setting(
        (), help="File names, URLs or sha256 of images that are kept whatever else is set."
    )
    drop: tuple[str, ...] = setting(
        (), help="File names, URLs or sha256 of images that are left out."
    )
    review: str | None = setting(
        None,
        identity=False,
        help="CSV with the columns verdict (keep, drop or empty) and image, which always wins; "
        "`styledag show STYLE --review` writes it.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        both = sorted(set(self.keep) & set(self.drop))
        if both:
            raise ValueError(f"keep and drop both name {both[0]!r}: take it out of one")

    def with_flips(self, *, flips: bool) -> "CurationSettings":
        """Return the settings with ``mirrored_copies`` stated."""
        if self.mirrored_copies is not None:
            return self
        return replace(self, mirrored_copies=flips)
