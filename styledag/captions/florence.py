"""Florence-2 as the captioner, asked by a task token.

Xiao et al. 2023, "Florence-2: Advancing a Unified Representation for a Variety of Vision Tasks",
https://arxiv.org/abs/2311.06242
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from styledag.captions.captioner import LocalCaptioner, decoding_settings
from styledag.captions.settings import CaptionSettings

if TYPE_CHECKING:
    from PIL.Image import Image


class FlorenceCaptioner(LocalCaptioner):
    """A ``Florence2ForConditionalGeneration``."""

    def classes(self) -> tuple[Any, Any]:
        """Return Florence-2's classes."""
        from transformers import Florence2ForConditionalGeneration, Florence2Processor

        return Florence2ForConditionalGeneration, Florence2Processor

    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the settings of decoding and the task."""
        return {"task": settings.task, **decoding_settings(settings)}

    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image.

        Raises:
            ModelError: If the folder holds no whole Florence-2, or it computes NaN.
            DeviceError: If the batch does not fit into the device's memory.
        """
        _, processor = self.loaded
        inputs = processor(
            text=[f"<{settings.task.upper()}>"] * len(images),
            images=list(images),
            return_tensors="pt",
        ).to(self.compute.device, dtype=self.compute.dtype)
        tokens = self.generated(inputs, settings, images=len(images), prompt_length=1)
        texts = processor.batch_decode(tokens, skip_special_tokens=True)
        return [str(caption).strip() for caption in texts]
