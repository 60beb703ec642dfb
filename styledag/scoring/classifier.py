"""An image classifier that says of how many images it takes them for the style."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from styledag.errors import ModelError
from styledag.images.similarity import Float32
from styledag.models.load import load_transformers, load_whole_model
from styledag.scoring.clip import PROCESSING, batches_of
from styledag.scoring.settings import ClassifierSettings

if TYPE_CHECKING:
    from styledag.models.compute import Compute


_ROLE, _WANTED = "classifier", "image classifier"


class StyleClassifier:
    """Any of transformers' image classifiers, loaded when first needed, in float32.

    It has an embedder's shape, so that its answers are remembered by image in the same way.

    Args:
        folder: The classifier with its image processor, as ``transformers`` saves them.
        version: Version of the folder's content.
        settings: The label that stands for the style, and of which prompts.
        compute: Device to compute on.
        batch_size: Images looked at at a time.
    """

    def __init__(
        self,
        folder: Path,
        version: str,
        settings: ClassifierSettings,
        compute: "Compute",
        batch_size: int = 32,
    ) -> None:
        self.folder = folder
        self.version = f"classifier-{PROCESSING}-{version}"
        self.settings = settings
        self._device = compute.device
        self.batch_size = batch_size

    @cached_property
    def label(self) -> int:
        """The place of the style's label among the classifier's.

        Raises:
            ModelError: If it has no such label.
        """
        labels = {str(name): int(at) for at, name in self._model.config.id2label.items()}
        if self.settings.label not in labels:
            raise ModelError(
                f"classifier {self.folder} has no label {self.settings.label!r}: name one of its "
                f"own, {', '.join(labels)}"
            )
        return labels[self.settings.label]

    def __call__(self, images: Sequence[Image.Image]) -> Float32:
        """Return each image's probability of each label, float32 ``[n, labels]``.

        Raises:
            ModelError: If the model cannot be loaded, or gives NaN.
        """
        import torch

        rows = []
        for batch in batches_of(images, self.batch_size):
            inputs = self._processor([each.convert("RGB") for each in batch], return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(inputs["pixel_values"].to(self._device)).logits
            rows.append(logits.float().softmax(dim=-1).cpu().numpy())
        said: Float32 = np.concatenate(rows)
        if not np.isfinite(said).all():
            raise ModelError(f"classifier {self.folder} gives NaN: its weights are damaged")
        return said

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForImageClassification

        import styledag.starter.artist_judge  # noqa: F401 -- makes the starter's own known

        model = load_whole_model(
            AutoModelForImageClassification, self.folder, role=_ROLE, wanted=_WANTED
        )
        return model.to(self._device)

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoImageProcessor

        return load_transformers(
            AutoImageProcessor, self.folder, role=_ROLE, wanted=_WANTED, backend=PROCESSING
        )
