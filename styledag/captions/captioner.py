"""What writes captions of images: one protocol, and what the models of transformers share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from styledag.captions.settings import CaptionSettings
from styledag.errors import DeviceError, ModelError
from styledag.models.compute import Compute
from styledag.models.load import load_transformers

if TYPE_CHECKING:
    from PIL.Image import Image


class Captioner(Protocol):
    """Captions images, as its version and its settings alone decide."""

    @property
    def version(self) -> str:
        """What decides the answers besides image and settings: weights and preprocessing."""

    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the settings that decide a raw caption, as JSON."""

    def batch_size(self, settings: CaptionSettings) -> int:
        """Return how many images to ask about at a time; the answers are kept after each batch."""

    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image, in order."""


@dataclass
class LocalCaptioner(ABC):
    """A model of transformers that is loaded when it is first asked."""

    folder: Path
    content: str
    compute: Compute

    @property
    def version(self) -> str:
        """The model's content and what resizes images for it."""
        return f"{self.content}/{processor_backend()}"

    def batch_size(self, settings: CaptionSettings) -> int:
        """Return the settings' number."""
        return settings.batch_size

    @abstractmethod
    def classes(self) -> tuple[Any, Any]:
        """Return the classes of the model and of its processor."""

    @abstractmethod
    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the settings that decide a raw caption, as JSON."""

    @abstractmethod
    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image, in order."""

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """The model on its device, and its processor.

        Raises:
            ModelError: If the folder holds no whole model of its class.
        """
        model_class, processor_class = self.classes()
        named = {"role": "captioner", "wanted": f"{model_class.__name__} with its processor"}
        processor = load_transformers(processor_class, self.folder, **named)
        model, loading = load_transformers(
            model_class,
            self.folder,
            dtype=self.compute.dtype,
            use_safetensors=True,
            output_loading_info=True,
            **named,
        )
        missing = sorted(str(name) for name in loading["missing_keys"])
        if missing:
            raise ModelError(
                f"captioner {self.folder} lacks {len(missing)} tensors, first {missing[0]}: "
                f"it is no whole {model_class.__name__}"
            )
        return model.to(self.compute.device).eval(), processor

    def generated(self, count: int, generate: Callable[[], Any]) -> Any:
        """Return what ``generate`` returns, without gradients.

        Raises:
            DeviceError: If the batch does not fit into the device's memory.
        """
        import torch

        try:
            with torch.inference_mode():
                return generate()
        except torch.OutOfMemoryError as exc:
            raise DeviceError(
                f"captioning {count} images at a time does not fit into the memory of "
                f"{self.compute.device}: lower captions.batch_size"
            ) from exc


def processor_backend() -> str:
    """Return what resizes images for a captioner: ``torchvision`` if it is there, else ``pil``.

    The two give different pixels, and so now and then another caption.
    """
    return "torchvision" if find_spec("torchvision") is not None else "pil"


def decoding_settings(settings: CaptionSettings) -> dict[str, Any]:
    """Return the settings of the search for a caption, as ``generate`` names them."""
    return {
        "num_beams": settings.num_beams,
        "max_new_tokens": settings.max_new_tokens,
        "repetition_penalty": settings.repetition_penalty,
        "no_repeat_ngram_size": settings.no_repeat_ngram_size,
    }
