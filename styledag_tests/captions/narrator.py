"""A captioner for tests, which returns one caption and counts its batches."""

from collections.abc import Iterator, Sequence

from PIL import Image

from styledag.captions.blip import BlipCaptioner
from styledag.captions.settings import CaptionSettings
from styledag.models.reference import ModelReference

SETTINGS = CaptionSettings(captioner=ModelReference(model="starter/blip"), batch_size=3)


class Narrator:
    """Says what it is told to, and remembers how it was asked."""

    def __init__(self, says: str = "a cat", version: str = "v1", dies_at: int | None = None):
        self.says, self.version, self.dies_at = says, version, dies_at
        self.batches: list[int] = []

    def identity(self, settings: CaptionSettings) -> dict[str, object]:
        return BlipCaptioner.identity(self, settings)

    def batch_size(self, settings: CaptionSettings) -> int:
        return settings.batch_size

    def answers(
        self, images: Sequence[Image.Image], settings: CaptionSettings
    ) -> Iterator[tuple[int, str]]:
        yield from enumerate(self(images, settings))

    def __call__(self, images: Sequence[Image.Image], settings: CaptionSettings) -> list[str]:
        assert settings.num_beams >= 1
        if len(self.batches) == self.dies_at:
            raise KeyboardInterrupt
        self.batches.append(len(images))
        assert all(image.mode == "RGB" for image in images)
        return [self.says] * len(images)
