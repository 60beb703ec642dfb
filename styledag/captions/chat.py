"""Any chat vision-language model as the captioner: Qwen3-VL, JoyCaption, SmolVLM, InternVL."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from styledag.captions.captioner import LocalCaptioner, decoding_settings
from styledag.captions.settings import CaptionSettings
from styledag.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image


class ChatCaptioner(LocalCaptioner):
    """A model that answers a prompt about an image in its processor's chat template."""

    def classes(self) -> tuple[Any, Any]:
        """Return transformers' own choice by the model's configuration."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        return AutoModelForImageTextToText, AutoProcessor

    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the settings of decoding and the prompt."""
        return {"prompt": settings.prompt, **decoding_settings(settings)}

    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image.

        Raises:
            ModelError: If the folder holds no whole model, or its processor has no chat template.
            DeviceError: If the batch does not fit into the device's memory.
        """
        model, processor = self.loaded
        content = [{"type": "image"}, {"type": "text", "text": settings.prompt}]
        conversation = [{"role": "user", "content": content}]
        try:
            text = processor.apply_chat_template(conversation, add_generation_prompt=True)
        except ValueError as exc:
            raise ModelError(
                f"captioner {self.folder} has no chat template ({exc}): name a chat model"
            ) from exc
        # Images of different sizes can have prompts of different lengths; what is generated
        # follows the prompt, so the padding has to be in front of it.
        processor.tokenizer.padding_side = "left"
        inputs = processor(
            text=[text] * len(images),
            images=[[image] for image in images],
            padding=True,
            return_tensors="pt",
        ).to(self.compute.device, dtype=self.compute.dtype)
        tokens = self.generated(
            len(images),
            lambda: model.generate(**inputs, do_sample=False, **decoding_settings(settings)),
        )
        answers = tokens[:, inputs["input_ids"].shape[1] :]
        texts = processor.batch_decode(answers, skip_special_tokens=True)
        return [str(caption).strip() for caption in texts]
