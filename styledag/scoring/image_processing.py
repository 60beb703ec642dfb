"""What makes images ready for a scorer or a classifier."""

from pathlib import Path
from typing import Any

from styledag.models.load import load_transformers

PROCESSING = "pil"
"""The image's preprocessing: by Pillow on every machine, with torchvision installed or not.

A model for which transformers has none by Pillow, such as DINOv3, needs torchvision.
"""


def image_processor(folder: Path, *, role: str, wanted: str) -> Any:
    """Return a model's image processor; no weights are read.

    Args:
        folder: A model as transformers saves it.
        role: What it is used as, for the message.
        wanted: What the folder has to hold, for the message.

    Raises:
        ModelError: If it cannot be read, or needs a package that is not installed.
    """
    from transformers import AutoImageProcessor

    return load_transformers(
        AutoImageProcessor, folder, role=role, wanted=wanted, backend=PROCESSING
    )
