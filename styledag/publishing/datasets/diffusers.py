"""A dataset for diffusers' example scripts: an ``imagefolder`` and the command that trains on it.

https://huggingface.co/docs/datasets/image_dataset and diffusers' ``examples/text_to_image`` and,
for flow matching, ``examples/dreambooth``.
"""

import json
import shlex
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from styledag.dataset.read import DatasetRow
from styledag.errors import DataError
from styledag.publishing.datasets.settings import TrainerSettings
from styledag.publishing.datasets.sidecars import Written, captions_of, counted
from styledag.publishing.target_folder import trained_folder

METADATA_FILE, COMMAND_FILE = "metadata.jsonl", "train.sh"

_WITH_DROPOUT = "train_text_to_image_sdxl"
"""The one script that drops captions."""


def write_diffusers(
    rows: Iterable[DatasetRow], folder: Path, target: Path, settings: TrainerSettings
) -> Written:
    """Write ``train/metadata.jsonl`` beside the images and ``train.sh``; return the counts.

    For the scripts of ``text_to_image``, the column ``text`` is a list of the caption and its
    variants, of which they choose one at random for each sample; that of whole denoisers of Stable
    Diffusion XL encodes captions before it trains, and chooses once. Those of ``dreambooth`` read
    one caption an image, so variants are left out and counted.

    Raises:
        DataError: If no script trains the family, none trains the whole denoiser, or the script
            cannot be told the alpha of the LoRA.
    """
    whole = settings.lora_rank is None
    script = settings.elsewhere.diffusers if whole else settings.elsewhere.diffusers_lora
    if not script:
        raise DataError(
            f"diffusers has no script for {'the whole denoiser' if whole else 'a LoRA'} of a base "
            f"of {settings.family}: export for another trainer"
        )
    alpha = _alpha(script, settings)
    one_caption = script.startswith("train_dreambooth")
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
            captions = captions_of(row)
            text = captions[0] if one_caption else captions
            line = {"file_name": f"{row.id}.jpg", "text": text}
            metadata[row.split].write(json.dumps(line, ensure_ascii=False) + "\n")
            if one_caption:
                written.variants_left_out += len(row.variants)
            else:
                written.variants += len(row.variants)
    data = _captioned(target, settings) if one_caption else _text_to_image(target, settings)
    dropout = [f"--proportion_empty_prompts={settings.caption_dropout}"]
    written.command = _command(
        script,
        [
            *data,
            *_common(target, settings),
            *alpha,
            *_optimisation(script, settings),
            *(dropout if script == _WITH_DROPOUT else []),
        ],
    )
    text = f"#!/bin/sh\nexec {written.command}\n"
    (folder / COMMAND_FILE).write_text(text, encoding="utf-8", newline="\n")
    return written


def _text_to_image(target: Path, settings: TrainerSettings) -> list[str]:
    return [
        f"--train_data_dir={target / 'train'}",
        # The scripts have no repeats, and an image that is repeated is one more epoch of it.
        f"--num_train_epochs={settings.epochs * settings.repeats}",
    ]


def _captioned(target: Path, settings: TrainerSettings) -> list[str]:
    return [
        f"--dataset_name={target}",
        f"--instance_prompt={settings.name}",  # required, but read only where there is no caption
        f"--repeats={settings.repeats}",
        f"--num_train_epochs={settings.epochs}",
        "--mixed_precision=bf16",
    ]


def _common(target: Path, settings: TrainerSettings) -> list[str]:
    arguments = [
        f"--pretrained_model_name_or_path={settings.base}",
        "--image_column=image",
        "--caption_column=text",
        f"--resolution={settings.resolution_px}",
        f"--train_batch_size={settings.batch_size}",
        f"--gradient_accumulation_steps={settings.gradient_accumulation}",
        f"--learning_rate={settings.learning_rate}",
        f"--seed={settings.seed}",
        f"--output_dir={trained_folder(target)}",
    ]
    if settings.flip:
        arguments.append("--random_flip")
    if settings.lora_rank is not None:
        arguments.append(f"--rank={settings.lora_rank}")
    return arguments


def _optimisation(script: str, settings: TrainerSettings) -> list[str]:
    """Return the arguments of the optimiser and of the loss.

    Raises:
        DataError: If the script has no such optimiser.
    """
    if settings.optimizer == "adafactor":
        raise DataError(
            f"{script}.py has no Adafactor, which is the recipe's optimizer: export for another "
            "trainer, or set optimizer to 'adamw_8bit'"
        )
    arguments = [
        f"--lr_scheduler={settings.lr_scheduler}",
        f"--lr_warmup_steps={settings.lr_warmup_steps}",
        f"--adam_beta1={settings.adam_beta1}",
        f"--adam_beta2={settings.adam_beta2}",
        f"--adam_epsilon={settings.adam_epsilon}",
        f"--adam_weight_decay={settings.weight_decay}",
        f"--max_grad_norm={settings.max_grad_norm}",
    ]
    if settings.optimizer == "adamw_8bit":
        arguments.append("--use_8bit_adam")
    if settings.noise_offset:
        arguments.append(f"--noise_offset={settings.noise_offset}")
    if settings.min_snr_gamma is not None:
        arguments.append(f"--snr_gamma={settings.min_snr_gamma}")
    return arguments


def _alpha(script: str, settings: TrainerSettings) -> list[str]:
    """Return the argument that gives a LoRA its alpha.

    Raises:
        DataError: If the script has none for it.
    """
    if settings.lora_rank is None:
        return []
    has_alpha = settings.elsewhere.diffusers_alpha
    if has_alpha and settings.alpha.is_integer():
        return [f"--lora_alpha={int(settings.alpha)}"]
    if settings.alpha == settings.lora_rank:
        return []
    known = "whole numbers alone" if has_alpha else "the rank alone"
    raise DataError(
        f"{script}.py has {known} as a LoRA's alpha, but the recipe's is {settings.alpha:g}: "
        "export for another trainer, or leave lora.alpha out"
    )


def _command(script: str, arguments: list[str]) -> str:
    quoted = " ".join(shlex.quote(argument) for argument in arguments)
    return f"accelerate launch {script}.py {quoted}"
