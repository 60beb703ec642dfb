"""Write a dataset for another trainer."""

from collections.abc import Callable, Iterable
from pathlib import Path

from styledag.dataset.read import DatasetRow, read_dataset
from styledag.errors import DataError
from styledag.publishing.datasets.ai_toolkit import write_ai_toolkit
from styledag.publishing.datasets.diffusers import write_diffusers
from styledag.publishing.datasets.kohya import write_kohya
from styledag.publishing.datasets.onetrainer import write_onetrainer
from styledag.publishing.datasets.settings import Trainer, TrainerSettings
from styledag.publishing.datasets.sidecars import Written
from styledag.publishing.datasets.webdataset import write_webdataset
from styledag.publishing.target_folder import target_folder
from styledag.store.artifact import Facts

Writer = Callable[[Iterable[DatasetRow], Path, Path, TrainerSettings], Written]
"""Writes a dataset's rows, one split after the other, into a folder, given also where that will lie
at last: some trainers want absolute paths."""

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
            not train the base's family, or with a denoiser of its own.
        StorageError: If the target contains anything else, or cannot be written.
    """
    if settings.denoiser and trainer != "webdataset":
        raise DataError(
            f"the style trains {settings.base} with the denoiser of {settings.denoiser}, which a "
            f"configuration for {trainer} would leave out: export for webdataset"
        )
    target = target.absolute()
    with target_folder(target) as partial:
        written = WRITERS[trainer](read_dataset(dataset), partial, target, settings)
    return {
        "trainer": trainer,
        "images": sum(written.images.values()),
        **dict(sorted(written.images.items())),
        "variants": written.variants,
        "variants_left_out": written.variants_left_out,
        "command": written.command,
    }
