"""A dataset for ostris/ai-toolkit: sidecars and a job's configuration for ``run.py``.

The keys are those of ``config/examples`` and ``toolkit/config_modules.py``.
"""

import math
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from styledag.dataset.read import DatasetRow
from styledag.errors import DataError
from styledag.publishing.datasets.settings import TrainerSettings
from styledag.publishing.datasets.sidecars import CAPTION_EXTENSION, Written, write_sidecars
from styledag.publishing.target_folder import trained_folder

CONFIG_FILE = "config.yaml"


def write_ai_toolkit(
    rows: Iterable[DatasetRow], folder: Path, target: Path, settings: TrainerSettings
) -> Written:
    """Write the folder that ``run.py`` trains on; return the counts.

    ai-toolkit reads one caption an image, so variants are left out and counted. It counts steps,
    and not epochs.

    Raises:
        DataError: If ai-toolkit does not train the family, not on the base's schedule, or not
            with the recipe's learning rates.
    """
    if not settings.elsewhere.ai_toolkit:
        raise DataError(
            f"ai-toolkit does not train a base of {settings.family}: export for another trainer"
        )
    if settings.zero_snr:
        raise DataError(
            "the base's schedule has zero terminal SNR, which ai-toolkit neither reads from it nor "
            "has a key for: export for kohya or onetrainer"
        )
    optimisation = _optimisation(settings)
    written = write_sidecars(rows, folder, with_variants=False)
    samples = written.images["train"] * settings.repeats
    step_images = settings.batch_size * settings.gradient_accumulation
    process: dict[str, Any] = {
        "type": "sd_trainer",
        "training_folder": str(trained_folder(target)),
        "device": "cuda:0",
        "save": {"dtype": "float16"},
        "datasets": [
            {
                "folder_path": str(target / "train"),
                "caption_ext": CAPTION_EXTENSION.removeprefix("."),
                "caption_dropout_rate": settings.caption_dropout,
                "num_repeats": settings.repeats,
                "flip_x": settings.flip,
                "shuffle_tokens": False,
                "cache_latents_to_disk": True,
                "resolution": [settings.resolution_px],
            }
        ],
        "train": {
            "batch_size": settings.batch_size,
            "gradient_accumulation": settings.gradient_accumulation,
            "steps": settings.epochs * math.ceil(samples / step_images),
            **optimisation,
            "noise_scheduler": "flowmatch" if settings.predicts == "flow" else "ddpm",
            "train_unet": True,
            "train_text_encoder": False,
            "dtype": "bf16",
            "disable_sampling": True,
        },
        "model": {
            "name_or_path": settings.base,
            "arch": settings.elsewhere.ai_toolkit,
            "is_v_pred": settings.predicts == "v",
        },
    }
    if settings.lora_rank is not None:
        process["network"] = {
            "type": "lora",
            "linear": settings.lora_rank,
            "linear_alpha": settings.alpha,
        }
    job = {
        "job": "extension",
        "config": {"name": settings.name, "process": [process]},
        "meta": {"name": "[name]", "version": "1.0"},
    }
    text = yaml.safe_dump(job, sort_keys=False, allow_unicode=True)
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
    written.command = f"python run.py {shlex.quote(str(target / CONFIG_FILE))}"
    return written


_OPTIMIZERS = {"adamw": "adamw", "adamw_8bit": "adamw8bit", "adafactor": "adafactor"}


def _optimisation(settings: TrainerSettings) -> dict[str, Any]:
    """Return the keys of ``train`` for the learning rates, the optimiser and the loss.

    ai-toolkit has an epsilon of its own, 1e-6, and no key for it.

    Raises:
        DataError: If the learning rate rises and falls.
    """
    schedule, warmup = settings.lr_scheduler, settings.lr_warmup_steps
    if warmup and schedule != "constant_with_warmup":
        raise DataError(
            f"ai-toolkit has no warm-up before a learning rate that falls, but the recipe has "
            f"lr_warmup_steps {warmup} and lr_schedule '{schedule}': export for another trainer, "
            "or leave one of them out"
        )
    # Its own linear schedule rises if these are left out.
    timing = {
        "constant_with_warmup": {"num_warmup_steps": warmup},
        "linear": {"start_factor": 1.0, "end_factor": 0.0},
    }
    params: dict[str, Any] = {"weight_decay": settings.weight_decay}
    if settings.optimizer != "adafactor":
        params["betas"] = [settings.adam_beta1, settings.adam_beta2]
    weighed = {} if settings.min_snr_gamma is None else {"min_snr_gamma": settings.min_snr_gamma}
    return {
        "lr": settings.learning_rate,
        "lr_scheduler": schedule,
        "lr_scheduler_params": timing.get(schedule, {}),
        "optimizer": _OPTIMIZERS[settings.optimizer],
        "optimizer_params": params,
        "max_grad_norm": settings.max_grad_norm,
        "noise_offset": settings.noise_offset,
        **weighed,
    }
