"""What is encoded, and the files that it is encoded into."""

from dataclasses import dataclass
from typing import Literal

CONDITIONING_FILE = "text_states.safetensors"
SAMPLES_FILE = "samples.json"

SampleSplit = Literal["train", "validation", "prior"]


def moments_file(bucket: str) -> str:
    """Return the name of the file that holds the moments of one shape of images."""
    return f"moments-{bucket}.safetensors"


@dataclass(frozen=True, kw_only=True)
class EncodeSample:
    """One image with its captions.

    Attributes:
        id: Sample id, a sha256; training's randomness follows from it.
        caption: What is said of the image.
        variants: Further ways to say it.
        split: The part of the dataset that it belongs to; ``prior`` if the base drew it.
        family: Name of its family of near-duplicates; empty if nothing is known to be like it.
        name: What errors call it, such as its URL.
        image_sha256: Blob of the RGB image.
        original_px: Width and height of what the image was made from; its own when ``None``.
        crop_px: What was cut off of that on the left and above, once it was scaled.
    """

    id: str
    caption: str
    variants: tuple[str, ...] = ()
    split: SampleSplit
    family: str = ""
    name: str
    image_sha256: str
    original_px: tuple[int, int] | None = None
    crop_px: tuple[int, int] = (0, 0)

    @property
    def captions(self) -> tuple[str, ...]:
        """All that is said of the image; the first is the main one."""
        return (self.caption, *self.variants)
