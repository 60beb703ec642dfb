"""Images, and texts where a model reads them, as unit vectors: CLIP, SigLIP, DINOv2."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from styledag.errors import ModelError, StyleFileError
from styledag.images.similarity import Float32
from styledag.models.config import read_config
from styledag.models.load import load_transformers, load_whole_model
from styledag.scoring.image_processing import PROCESSING, image_processor
from styledag.tensors.layout import CONFIG_FILE

if TYPE_CHECKING:
    from styledag.models.compute import Compute

T = TypeVar("T")

_ROLE, _WANTED = "scorer", "CLIP, SigLIP or DINOv2"


def batches_of(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return items in parts of at most ``size``."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def check_scorer(folder: Path) -> str:
    """Return the class of a scorer; nothing but its configurations is read.

    Raises:
        ModelError: If transformers has no such model, it embeds no images, or a package is missing
            that makes images ready for it.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    config = load_transformers(AutoConfig, folder, role=_ROLE, wanted=_WANTED)
    try:
        with torch.device("meta"):
            model = AutoModel.from_config(config, trust_remote_code=False)
    except (ValueError, TypeError, KeyError, ImportError) as exc:
        raise ModelError(
            f"{folder} is a {config.model_type}, which cannot be made ({exc}): name a {_ROLE} that "
            f"is {_WANTED}"
        ) from exc
    kind = _seeing(model, folder)
    image_processor(folder, role=_ROLE, wanted=_WANTED)
    return kind


def _seeing(model: Any, folder: Path) -> str:
    """Return the class of a model that embeds images."""
    kind = type(model).__name__
    if not hasattr(model, "get_image_features") and model.main_input_name != "pixel_values":
        raise ModelError(
            f"{folder} is a {kind}, which embeds no images: name a {_ROLE} that is {_WANTED}"
        )
    return kind


class EmbeddingScorer:
    """Embeds images and texts with one of transformers' models, loaded when first needed.

    A model of two towers gives its projections; one that reads images alone, as DINOv2, its pooled
    output. It is float32 whatever the machine's dtype, so that scores agree between machines.
    """

    def __init__(
        self,
        folder: Path,
        version: str,
        compute: "Compute",
        batch_size: int = 32,
    ) -> None:
        self.folder = folder
        self.version = f"embedding-{PROCESSING}-{version}"
        self._device = compute.device
        self.batch_size = batch_size

    @property
    def reads_text(self) -> bool:
        """Whether it embeds texts too; the weights are not read for this."""
        return "text_config" in read_config(self.folder / CONFIG_FILE)

    def __call__(self, images: Sequence[Image.Image]) -> Float32:
        """Return one L2-normalised row for each image, float32 ``[n, d]``.

        Raises:
            ModelError: If the model cannot be loaded, or gives NaN.
        """
        import torch

        rows = []
        for batch in batches_of(images, self.batch_size):
            embed = self._embed_images
            inputs = self._image_processor(
                [image.convert("RGB") for image in batch], return_tensors="pt"
            )
            on_device = {name: tensor.to(self._device) for name, tensor in inputs.items()}
            with torch.inference_mode():
                rows.append(self._unit(embed(**on_device)))
        return self._checked(rows)

    def embed_texts(self, texts: Sequence[str], *, cut: bool = False) -> Float32:
        """Return one L2-normalised row for each text, float32 ``[n, d]``.

        Raises:
            ModelError: If the model cannot be loaded, reads no text, or gives NaN.
            StyleFileError: If a text is longer than the model reads, and is not to be cut.
        """
        import torch

        if not hasattr(self._model, "get_text_features"):
            raise ModelError(
                f"{self.folder} is a {type(self._model).__name__}, which reads no text: name a "
                "CLIP or SigLIP model as scores.scorer"
            )

        limit = self._text_limit
        padding = "max_length" if self._is_siglip else "longest"
        rows = []
        for batch in batches_of(texts, self.batch_size):
            if not cut:
                self._check_length(batch, limit)
            inputs = self._tokenizer(
                [self._spelt(text) for text in batch],
                padding=padding,
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            on_device = {
                name: tensor.to(self._device)
                for name, tensor in inputs.items()
                if not (self._is_siglip and name == "attention_mask")
            }
            with torch.inference_mode():
                rows.append(self._unit(self._model.get_text_features(**on_device)))
        return self._checked(rows)

    def reads_whole(self, text: str) -> bool:
        """Return whether a text is no longer than the model reads; no weights are read.

        Raises:
            ModelError: If the model has no readable configuration or tokenizer.
        """
        return len(self._tokenizer(self._spelt(text)).input_ids) <= self._text_limit

    @cached_property
    def _is_siglip(self) -> bool:
        """Whether it was trained on texts in small letters, all filled up and read to the limit.

        Zhai et al. 2023, Tschannen et al. 2025; google-research/big_vision has no mask for them.
        """
        return str(read_config(self.folder / CONFIG_FILE).get("model_type")).startswith("siglip")

    def _spelt(self, text: str) -> str:
        return text.lower() if self._is_siglip else text

    @cached_property
    def _text_limit(self) -> int:
        from transformers import AutoConfig

        config = load_transformers(AutoConfig, self.folder, role=_ROLE, wanted=_WANTED)
        return int(config.text_config.max_position_embeddings)

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModel

        model = load_whole_model(AutoModel, self.folder, role=_ROLE, wanted=_WANTED)
        _seeing(model, self.folder)
        return model.to(self._device)

    @property
    def _embed_images(self) -> Any:
        return getattr(self._model, "get_image_features", self._model)

    @cached_property
    def _image_processor(self) -> Any:
        return image_processor(self.folder, role=_ROLE, wanted=_WANTED)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return load_transformers(AutoTokenizer, self.folder, role=_ROLE, wanted=_WANTED)

    def _unit(self, output: Any) -> Float32:
        import torch

        if output.pooler_output is None:
            raise ModelError(f"{self.folder} gives no embedding of an image: name another {_ROLE}")
        unit = torch.nn.functional.normalize(output.pooler_output.float(), dim=-1)
        rows: Float32 = unit.cpu().numpy()
        return rows

    def _checked(self, batches: Sequence[Float32]) -> Float32:
        if not batches:
            return np.empty((0, 1), np.float32)
        rows = np.concatenate(batches)
        if not np.isfinite(rows).all():
            raise ModelError(f"scorer {self.folder} gives NaN: its weights are damaged")
        return rows

    def _check_length(self, texts: Sequence[str], limit: int) -> None:
        for text, ids in zip(
            texts, self._tokenizer([self._spelt(each) for each in texts]).input_ids, strict=True
        ):
            if len(ids) > limit:
                raise StyleFileError(
                    f"prompt {text!r} is {len(ids)} tokens long, but the scorer reads {limit}: "
                    "shorten it"
                )
