"""Somebody who says what images show."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from styledag.captions.settings import CaptionSettings

if TYPE_CHECKING:
    from PIL.Image import Image


class Captioner(Protocol):
    """Captions images, as its version and the settings of decoding alone decide."""

    @property
    def version(self) -> str:
        """What decides the answers besides image and settings: weights and preprocessing."""

    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image, in order, without the prefix."""


def decoding_identity(settings: CaptionSettings) -> dict[str, Any]:
    """Return the settings that decide a raw caption; rules and templates come after it."""
    return {
        "prefix": settings.prefix,
        "num_beams": settings.num_beams,
        "max_new_tokens": settings.max_new_tokens,
        "repetition_penalty": settings.repetition_penalty,
        "no_repeat_ngram_size": settings.no_repeat_ngram_size,
    }
