"""CLIP's two towers: images and texts as unit vectors in one space."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from styledag.errors import ModelError, StyleFileError
from styledag.images.similarity import Float32
from styledag.models.load import load_transformers, load_whole_model

if TYPE_CHECKING:
    from styledag.models.compute import Compute

T = TypeVar("T")

_ROLE, _WANTED = "scorer", "CLIPModel"

PROCESSING = "pil"
"""The image's preprocessing: by Pillow on every machine, with torchvision installed or not."""


def batches_of(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return items in parts of at most ``size``."""
    return [items[start : start + size] for start in range(0, len(items), size)]


class ClipScorer:
    """Embeds images and texts with a ``CLIPModel``, loaded when first needed.

    It is float32 whatever the machine's dtype, so that scores agree between machines.

    Args:
        folder: A ``CLIPModel`` with its processor and tokenizer, as ``transformers`` saves them.
        version: Version of the folder's content.
        compute: Device to compute on.
        batch_size: Images or texts embedded at a time.
    """

    def __init__(
        self,
        folder: Path,
        version: str,
        compute: "Compute",
        batch_size: int = 32,
    ) -> None:
        self.folder = folder
        self.version = f"clip-{PROCESSING}-{version}"
        self._device = compute.device
        self.batch_size = batch_size

    def __call__(self, images: Sequence[Image.Image]) -> Float32:
        """Return one L2-normalised row for each image, float32 ``[n, d]``.

        Raises:
            ModelError: If the model cannot be loaded, or gives NaN.
        """
        batches = []
        for batch in batches_of(images, self.batch_size):
            inputs = self._image_processor(
                [image.convert("RGB") for image in batch], return_tensors="pt"
            )
            batches.append(self._features("image", inputs))
        return self._rows(batches)

    def embed_texts(self, texts: Sequence[str], *, cut: bool = False) -> Float32:
        """Return one L2-normalised row for each text, float32 ``[n, d]``.

        Args:
            texts: The texts.
            cut: Whether a text that is longer than the model reads is cut.

        Raises:
            ModelError: If the model cannot be loaded, or gives NaN.
            StyleFileError: If a text is longer than the model reads, and is not to be cut.
        """
        batches = []
        for batch in batches_of(texts, self.batch_size):
            inputs = self._tokenizer(
                list(batch),
                padding=True,
                truncation=cut,
                max_length=self._longest if cut else None,
                return_tensors="pt",
            )
            self._check_length(batch, inputs)
            batches.append(self._features("text", inputs))
        return self._rows(batches)

    @cached_property
    def _model(self) -> Any:
        from transformers import CLIPModel

        model = load_whole_model(CLIPModel, self.folder, role=_ROLE, wanted=_WANTED)
        return model.to(self._device)

    @property
    def _longest(self) -> int:
        """Most tokens of a text."""
        return int(self._model.config.text_config.max_position_embeddings)

    @cached_property
    def _image_processor(self) -> Any:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        return load_transformers(CLIPImageProcessorPil, self.folder, role=_ROLE, wanted=_WANTED)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return load_transformers(AutoTokenizer, self.folder, role=_ROLE, wanted=_WANTED)

    def _features(self, tower: str, inputs: Any) -> Float32:
        import torch

        model = self._model
        on_device = {name: tensor.to(self._device) for name, tensor in inputs.items()}
        embed = model.get_image_features if tower == "image" else model.get_text_features
        with torch.inference_mode():
            features = embed(**on_device).pooler_output.float()
            unit = torch.nn.functional.normalize(features, dim=-1)
        rows: Float32 = unit.cpu().numpy()
        return rows

    def _rows(self, batches: Sequence[Float32]) -> Float32:
        if not batches:
            return np.empty((0, int(self._model.config.projection_dim)), np.float32)
        rows = np.concatenate(batches)
        if not np.isfinite(rows).all():
            raise ModelError(f"scorer {self.folder} gives NaN: its weights are damaged")
        return rows

    def _check_length(self, texts: Sequence[str], inputs: Any) -> None:
        longest = self._longest
        for text, mask in zip(texts, inputs["attention_mask"], strict=True):
            if int(mask.sum()) > longest:
                raise StyleFileError(
                    f"prompt {text!r} is {int(mask.sum())} tokens long, but the scorer reads "
                    f"{longest}: shorten it"
                )
