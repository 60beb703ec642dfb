"""Dataset folders for tests, built by the stage that builds them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from styledag.captions.records import CaptionedImage
from styledag.dataset.build import build_image_dataset
from styledag.dataset.settings import DatasetSettings
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace


def build_dataset(
    workspace: Workspace,
    folder: Path,
    images: Sequence[CaptionedImage],
    *,
    validation_share: float = 0.0,
) -> Path:
    """The dataset of these images, in ``folder``."""
    folder.mkdir(parents=True)
    build_image_dataset(
        Manifest(tuple(images), ()),
        DatasetSettings(validation_share=validation_share),
        replace(workspace, folder=folder),
        style="numbers",
        description="Numbers in colour.",
    )
    return folder
