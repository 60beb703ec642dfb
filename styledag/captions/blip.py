"""BLIP as the captioner: batched beam search of a ``BlipForConditionalGeneration``.

Li et al. 2022, "BLIP: Bootstrapping Language-Image Pre-training", https://arxiv.org/abs/2201.12086
"""

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.captions.captioner import decoding_identity
from styledag.captions.settings import CaptionSettings
from styledag.errors import DeviceError, ModelError
from styledag.models.compute import Compute
from styledag.models.quiet import quiet_transformers

if TYPE_CHECKING:
    from PIL.Image import Image


def processor_backend() -> str:
    """Return what resizes images for BLIP here: ``torchvision`` if it is there, else ``pil``.

    The two give different pixels, and so now and then another caption.
    """
    return "torchvision" if find_spec("torchvision") is not None else "pil"


class BlipCaptioner:
    """A BLIP that is loaded when it is first asked.

    Args:
        folder: The model in transformers' layout, with its processor.
        version: Version of the folder's content.
        compute: Device and dtype.
    """

    def __init__(self, folder: Path, version: str, compute: Compute) -> None:
        self._folder = folder
        self._content = version
        self._compute = compute

    @property
    def version(self) -> str:
        """The model's content and what resizes images for it."""
        return f"{self._content}/{processor_backend()}"

    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image, without the prefix.

        Raises:
            ModelError: If the folder holds no sound BLIP.
            DeviceError: If the batch does not fit into the device's memory.
        """
        import torch

        model, processor = self._loaded
        device, dtype = self._compute.device, self._compute.dtype
        decoding = decoding_identity(settings)
        prefix = decoding.pop("prefix")
        pixel_values = processor.image_processor(images=list(images), return_tensors="pt")
        inputs: dict[str, Any] = {
            "pixel_values": pixel_values["pixel_values"].to(device, dtype)  # [B, 3, H, W]
        }
        prompt_length = 1
        if prefix:
            # The same words for all, so that nothing is padded: padding would change the answers.
            input_ids = processor.tokenizer([prefix] * len(images), return_tensors="pt")
            inputs["input_ids"] = input_ids["input_ids"].to(device)  # [B, prompt and end]
            prompt_length = inputs["input_ids"].shape[1] - 1
        try:
            with torch.inference_mode():
                tokens = model.generate(**inputs, do_sample=False, **decoding)
        except torch.OutOfMemoryError as exc:
            raise DeviceError(
                f"captioning {len(images)} images at a time does not fit into the memory of "
                f"{device}: lower captions.batch_size"
            ) from exc
        said = processor.batch_decode(tokens[:, prompt_length:], skip_special_tokens=True)
        return [str(caption) for caption in said]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from safetensors import SafetensorError
        from transformers import BlipForConditionalGeneration, BlipProcessor

        try:
            with quiet_transformers():
                processor = BlipProcessor.from_pretrained(self._folder, local_files_only=True)
                model, loading = BlipForConditionalGeneration.from_pretrained(
                    self._folder,
                    dtype=self._compute.dtype,
                    local_files_only=True,
                    use_safetensors=True,
                    output_loading_info=True,
                )
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as exc:
            raise ModelError(
                f"captioner {self._folder} cannot be loaded ({type(exc).__name__}: {exc}): it must "
                "be a BlipForConditionalGeneration with its BlipProcessor and safetensors"
            ) from exc
        missing = sorted(str(name) for name in loading["missing_keys"])
        if missing:
            raise ModelError(
                f"captioner {self._folder} lacks {len(missing)} tensors, first {missing[0]}: "
                "it is no whole BlipForConditionalGeneration"
            )
        return model.to(self._compute.device).eval(), processor
