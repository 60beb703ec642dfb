"""The probability of the style's label, by any of transformers' image classifiers."""

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from styledag.errors import ModelError
from styledag.images.similarity import Float32
from styledag.models.config import read_config
from styledag.models.load import load_whole_model
from styledag.scoring.embedding_scorer import batches_of
from styledag.scoring.image_processing import PROCESSING, image_processor
from styledag.scoring.settings import ClassifierSettings
from styledag.tensors.layout import CONFIG_FILE

if TYPE_CHECKING:
    from styledag.models.compute import Compute


MODEL_TYPES = "styledag.model_types"
"""Entry points of modules that, once imported, add a model type to transformers' ``Auto`` classes.

An installed package with an architecture of its own names its module there.
"""
_ROLE, _WANTED = "classifier", "image classifier"


def one_label(classifier: str) -> str:
    """Return what is wrong with a classifier that has one label, such as one that rates images."""
    return (
        f"{classifier} has a single label, so it would take every image for the style: name a "
        "classifier with two or more, of which one is the style's"
    )


def check_classifier(folder: Path) -> str:
    """Return the class of a classifier's image processor; nothing but configurations is read.

    Raises:
        ModelError: If it has none, or one that needs a package that is not installed.
    """
    return type(image_processor(folder, role=_ROLE, wanted=_WANTED)).__name__


class StyleClassifier:
    """One of transformers' image classifiers, loaded at the first call, in float32.

    It has an embedder's interface, so that its results are cached by image in the same way.

    Args:
        folder: The classifier with its image processor, as ``transformers`` saves them.
        version: Version of the folder's content.
        settings: The style's label, and the prompts whose samples are classified.
        compute: Device to compute on.
        batch_size: Images per forward pass.
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
        self._content_version = version
        self.settings = settings
        self._device = compute.device
        self.batch_size = batch_size

    @cached_property
    def version(self) -> str:
        """Version of what it gives for an image."""
        kind = "labels-" if self._has_several_labels else ""
        return f"classifier-{PROCESSING}-{kind}{self._content_version}"

    @cached_property
    def _has_several_labels(self) -> bool:
        """Whether an image may have several of its labels, as a tagger gives it."""
        stated = read_config(self.folder / CONFIG_FILE).get("problem_type")
        return bool(stated == "multi_label_classification")

    def takes(self, probabilities: Float32) -> NDArray[np.bool_]:
        """Return whether each image is taken for the style, [n].

        Args:
            probabilities: From a call, [n, labels].
        """
        if self._has_several_labels:
            return probabilities[:, self.label] > 0.5
        return cast("NDArray[np.bool_]", probabilities.argmax(axis=1) == self.label)

    @cached_property
    def label(self) -> int:
        """The index of the style's label among the classifier's.

        Raises:
            ModelError: If it has no such label.
        """
        labels = {str(name): int(index) for index, name in self._model.config.id2label.items()}
        if len(labels) < 2:
            raise ModelError(one_label(str(self.folder)))
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
            logits = logits.float()
            probabilities = logits.sigmoid() if self._has_several_labels else logits.softmax(dim=-1)
            rows.append(probabilities.cpu().numpy())
        every: Float32 = np.concatenate(rows)
        if not np.isfinite(every).all():
            raise ModelError(f"classifier {self.folder} gives NaN: its weights are damaged")
        return every

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForImageClassification

        for model_type in entry_points(group=MODEL_TYPES):
            model_type.load()
        model = load_whole_model(
            AutoModelForImageClassification, self.folder, role=_ROLE, wanted=_WANTED
        )
        return model.to(self._device)

    @cached_property
    def _processor(self) -> Any:
        return image_processor(self.folder, role=_ROLE, wanted=_WANTED)
