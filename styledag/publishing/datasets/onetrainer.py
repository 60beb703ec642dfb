"""A dataset for Nerogar/OneTrainer: sidecars and a configuration for ``scripts/train.py``.

The keys are those of ``modules/util/config/TrainConfig.py`` and ``ConceptConfig.py``.
"""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from styledag.dataset.read import DatasetRow
from styledag.errors import DataError
from styledag.publishing.datasets.settings import TrainerSettings
from styledag.publishing.datasets.sidecars import Written, write_sidecars
from styledag.publishing.target_folder import trained_folder

CONFIG_FILE = "config.json"

_CONFIG_VERSION, _CONCEPT_VERSION = 11, 2
_MOST_VARIATIONS = 10
"""OneTrainer draws flips and captions when it caches a variation, one an epoch, and then repeats
them; further ones cost as much disk as the first."""


def write_onetrainer(
    rows: Iterable[DatasetRow], folder: Path, target: Path, settings: TrainerSettings
) -> Written:
    """Write the folder that OneTrainer trains on; return the counts.

    Variants are further lines of a caption file, of which OneTrainer chooses one for each cached
    variation. The validation
    split is a concept of its own kind. Only the denoiser is trained. OneTrainer drops the caption
    for each text encoder by itself, and refuses to of some families.

    Raises:
        DataError: If OneTrainer does not train the family.
    """
    if not settings.elsewhere.onetrainer:
        raise DataError(
            f"OneTrainer does not train a base of {settings.family}: export for another trainer"
        )
    written = write_sidecars(rows, folder, with_variants=True)
    config: dict[str, Any] = {
        "__version": _CONFIG_VERSION,
        "training_method": "FINE_TUNE" if settings.lora_rank is None else "LORA",
        "model_type": settings.elsewhere.onetrainer,
        "base_model_name": settings.base,
        "output_model_destination": str(trained_folder(target) / f"{settings.name}.safetensors"),
        "workspace_dir": str(trained_folder(target) / "workspace"),
        "cache_dir": str(trained_folder(target) / "cache"),
        "resolution": str(settings.resolution_px),
        "aspect_ratio_bucketing": True,
        "batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "epochs": settings.epochs,
        "train_dtype": "BFLOAT_16",  # float16 if left out, in which activations of some overflow
        **_optimisation(settings),
        **_text_encoders(settings),
        "validation": written.images["validation"] > 0,
        "concepts": [
            _concept(split, target, settings, with_variants=written.variants > 0)
            for split in sorted(written.images)
        ],
    }
    if settings.zero_snr:
        # OneTrainer reads from the base what is predicted, but not that its schedule is rescaled.
        config["rescale_noise_scheduler_to_zero_terminal_snr"] = True
    if settings.lora_rank is not None:
        config |= {"lora_rank": settings.lora_rank, "lora_alpha": settings.alpha}
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
    written.command = (
        f"python scripts/train.py --config-path {shlex.quote(str(target / CONFIG_FILE))}"
    )
    return written


_OPTIMIZERS = {"adamw": "ADAMW", "adamw_8bit": "ADAMW_8BIT", "adafactor": "ADAFACTOR"}


def _optimisation(settings: TrainerSettings) -> dict[str, Any]:
    optimizer: dict[str, Any] = {
        "__version": 0,
        "optimizer": _OPTIMIZERS[settings.optimizer],
        "weight_decay": settings.weight_decay,
    }
    if settings.optimizer == "adafactor":
        optimizer |= {"relative_step": False, "scale_parameter": False, "warmup_init": False}
    else:
        optimizer |= {"beta1": settings.adam_beta1, "beta2": settings.adam_beta2}
        optimizer |= {"eps": settings.adam_epsilon}
    # 200 steps if left out. OneTrainer counts microsteps, cuts, and reads 1 as the whole run.
    warmup = float(settings.lr_warmup_steps * settings.gradient_accumulation)
    return {
        "learning_rate": settings.learning_rate,
        "learning_rate_scheduler": settings.lr_schedule.upper(),
        "learning_rate_warmup_steps": 1.5 if warmup == 1 else warmup,
        "optimizer": optimizer,
        "clip_grad_norm": settings.max_grad_norm,
        "offset_noise_weight": settings.noise_offset,
        "loss_weight_fn": "CONSTANT" if settings.min_snr_gamma is None else "MIN_SNR_GAMMA",
        "loss_weight_strength": settings.min_snr_gamma or 0.0,
    }


def _text_encoders(settings: TrainerSettings) -> dict[str, Any]:
    # dropout_probability beside them would be that of a LoRA's layers.
    dropout = settings.caption_dropout if settings.elsewhere.onetrainer_dropout else 0.0
    part = {"__version": 0, "train": False, "dropout_probability": dropout}
    return dict.fromkeys(settings.text_encoders, part)


def _concept(
    split: str, target: Path, settings: TrainerSettings, *, with_variants: bool
) -> dict[str, Any]:
    trained = split == "train"
    variations = min(settings.epochs, _MOST_VARIATIONS) if trained else 1
    return {
        "__version": _CONCEPT_VERSION,
        "name": f"{settings.name} {split}",
        "path": str(target / split),
        "seed": settings.seed,
        "enabled": True,
        "type": "STANDARD" if trained else "VALIDATION",
        "include_subdirectories": False,
        "image_variations": variations if settings.flip else 1,
        "text_variations": variations if with_variants else 1,
        "balancing": float(settings.repeats if trained else 1),
        "balancing_strategy": "REPEATS",
        "image": {
            "__version": 0,
            "enable_crop_jitter": False,
            "enable_random_flip": settings.flip and trained,
        },
        "text": {"__version": 0, "prompt_source": "sample", "enable_tag_shuffling": False},
    }
