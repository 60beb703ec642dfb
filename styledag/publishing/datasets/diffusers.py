"""A dataset for diffusers' example scripts: an ``imagefolder`` and the command that trains on it.

https://huggingface.co/docs/datasets/image_dataset and diffusers'
``examples/text_to_image/train_text_to_image.py``.
"""

import json
import shlex
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from styledag.dataset.read import DatasetRow
from styledag.errors import DataError
from styledag.publishing.datasets.settings import Family, TrainerSettings
from styledag.publishing.datasets.sidecars import Written, captions_of, counted

METADATA_FILE, COMMAND_FILE = "metadata.jsonl", "train.sh"

_SCRIPTS: dict[Family, str] = {
    "sd1": "train_text_to_image",
    "sd2": "train_text_to_image",
    "sd2-v": "train_text_to_image",
    "sdxl": "train_text_to_image_sdxl",
}
_LORA_SCRIPTS: dict[Family, str] = {
    "sd1": "train_text_to_image_lora",
    "sd2": "train_text_to_image_lora",
    "sd2-v": "train_text_to_image_lora",
    "sdxl": "train_text_to_image_lora_sdxl",
}


def write_diffusers(
    rows: Iterable[DatasetRow], folder: Path, target: Path, settings: TrainerSettings
) -> Written:
    """Write ``train/metadata.jsonl`` beside the images and ``train.sh``; return the counts.

    The column ``text`` is a list of the caption and its variants, of which the scripts choose one
    at random for each sample.

    Args:
        rows: The dataset's rows.
        folder: Where it is written.
        target: Where it will lie.
        settings: The style's settings.

    Raises:
        DataError: If no script of ``examples/text_to_image`` trains the family.
    """
    scripts = _SCRIPTS if settings.lora_rank is None else _LORA_SCRIPTS
    if settings.family not in scripts:
        raise DataError(
            f"diffusers' text_to_image scripts train {', '.join(scripts)}, but the base's family "
            f"is {settings.family}: export for another trainer"
        )
    written = Written()
    with ExitStack() as stack:
        metadata: dict[str, IO[str]] = {}
        for row in counted(rows, written):
            split = folder / row.split
            if row.split not in metadata:
                split.mkdir()
                file = (split / METADATA_FILE).open("w", encoding="utf-8", newline="\n")
                metadata[row.split] = stack.enter_context(file)
            (split / f"{row.id}.jpg").write_bytes(row.jpeg)
            line = {"file_name": f"{row.id}.jpg", "text": captions_of(row)}
            metadata[row.split].write(json.dumps(line, ensure_ascii=False) + "\n")
            written.variants += len(row.variants)
    written.command = _command(scripts[settings.family], target, settings)
    text = f"#!/bin/sh\nexec {written.command}\n"
    (folder / COMMAND_FILE).write_text(text, encoding="utf-8", newline="\n")
    return written


def _command(script: str, target: Path, settings: TrainerSettings) -> str:
    arguments = [
        f"--pretrained_model_name_or_path={settings.base}",
        f"--train_data_dir={target / 'train'}",
        "--image_column=image",
        "--caption_column=text",
        f"--resolution={settings.resolution_px}",
        f"--train_batch_size={settings.batch_size}",
        # The scripts have no repeats, and an image that is repeated is one more epoch of it.
        f"--num_train_epochs={settings.epochs * settings.repeats}",
        f"--learning_rate={settings.learning_rate}",
        "--lr_scheduler=constant",
        f"--seed={settings.seed}",
        f"--output_dir={target / 'output'}",
    ]
    if settings.flip:
        arguments.append("--random_flip")
    if settings.lora_rank is not None:
        arguments.append(f"--rank={settings.lora_rank}")
    quoted = " ".join(shlex.quote(argument) for argument in arguments)
    return f"accelerate launch {script}.py {quoted}"
