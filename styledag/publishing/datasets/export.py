"""Write a dataset for another trainer."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from styledag.dataset.read import DatasetRow, read_dataset
from styledag.errors import StorageError
from styledag.publishing.datasets.ai_toolkit import write_ai_toolkit
from styledag.publishing.datasets.diffusers import write_diffusers
from styledag.publishing.datasets.kohya import write_kohya
from styledag.publishing.datasets.onetrainer import write_onetrainer
from styledag.publishing.datasets.settings import Trainer, TrainerSettings
from styledag.publishing.datasets.sidecars import Written
from styledag.publishing.datasets.webdataset import write_webdataset
from styledag.store.artifact import Facts
from styledag.store.files import storage_errors

MARKER = ".styledag-export"
"""File by which an earlier export is recognised, and may be replaced."""

Writer = Callable[[Iterable[DatasetRow], Path, Path, TrainerSettings], Written]

WRITERS: dict[Trainer, Writer] = {
    "kohya": write_kohya,
    "onetrainer": write_onetrainer,
    "ai-toolkit": write_ai_toolkit,
    "diffusers": write_diffusers,
    "webdataset": write_webdataset,
}


def export_dataset(
    dataset: Path, target: Path, trainer: Trainer, settings: TrainerSettings
) -> Facts:
    """Write what a trainer reads, its configuration included, and return its facts.

    Images are the dataset's own JPEGs, byte for byte. The folder appears whole.

    Args:
        dataset: Folder of the dataset.
        target: Folder to write; an empty one or an earlier export is replaced.
        trainer: Who reads it.
        settings: The style's settings.

    Returns:
        Images by split, captions written and left out, and the command that starts the trainer.

    Raises:
        DataError: If the dataset cannot be read, a caption would be misread, or the trainer does
            not train the base's family.
        StorageError: If the target contains anything else, or cannot be written.
    """
    target = target.absolute()
    if target.exists() and any(target.iterdir()) and not (target / MARKER).is_file():
        raise StorageError(f"{target} is not empty and no earlier export: name another folder")
    partial = target.with_name(f"{target.name}.partial")
    with storage_errors(str(target)):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / MARKER).write_text(f"{trainer}\n", encoding="utf-8")
        written = WRITERS[trainer](read_dataset(dataset), partial, target, settings)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    return {
        "trainer": trainer,
        "images": sum(written.images.values()),
        **dict(sorted(written.images.items())),
        "variants": written.variants,
        "variants_left_out": written.variants_left_out,
        "command": written.command,
    }
