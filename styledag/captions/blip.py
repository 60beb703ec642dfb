"""BLIP as the captioner: batched beam search of a ``BlipForConditionalGeneration``.

Li et al. 2022, "BLIP: Bootstrapping Language-Image Pre-training", https://arxiv.org/abs/2201.12086
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from styledag.captions.captioner import LocalCaptioner, decoding_settings
from styledag.captions.settings import CaptionSettings

if TYPE_CHECKING:
    from PIL.Image import Image


class BlipCaptioner(LocalCaptioner):
    """A BLIP of any size."""

    def classes(self) -> tuple[Any, Any]:
        """Return BLIP's classes."""
        from transformers import BlipForConditionalGeneration, BlipProcessor

        return BlipForConditionalGeneration, BlipProcessor

    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the settings of decoding and the prefix."""
        return {"prefix": settings.prefix, **decoding_settings(settings)}

    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image, without the prefix.

        Raises:
            ModelError: If the folder holds no whole BLIP, or it computes NaN.
            DeviceError: If the batch does not fit into the device's memory.
        """
        _, processor = self.loaded
        device, dtype = self.compute.device, self.compute.dtype
        pixel_values = processor.image_processor(images=list(images), return_tensors="pt")
        inputs: dict[str, Any] = {
            "pixel_values": pixel_values["pixel_values"].to(device, dtype)  # [B, 3, H, W]
        }
        prompt_length = 1
        if settings.prefix:
            # The same words for all, so that nothing is padded: padding would change the answers.
            words = [settings.prefix] * len(images)
            input_ids = processor.tokenizer(words, return_tensors="pt")
            inputs["input_ids"] = input_ids["input_ids"].to(device)  # [B, prompt and end]
            prompt_length = inputs["input_ids"].shape[1] - 1
        tokens = self.generated(inputs, settings, images=len(images), prompt_length=prompt_length)
        texts = processor.batch_decode(tokens, skip_special_tokens=True)
        return [str(caption) for caption in texts]
