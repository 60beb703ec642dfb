"""A dataset for kohya-ss/sd-scripts: sidecars, a dataset configuration and a training one.

https://github.com/kohya-ss/sd-scripts/blob/main/docs/config_README-en.md
"""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from styledag.dataset.read import DatasetRow
from styledag.errors import DataError
from styledag.publishing.datasets.settings import TrainerSettings
from styledag.publishing.datasets.sidecars import CAPTION_EXTENSION, Written, write_sidecars
from styledag.publishing.target_folder import trained_folder

Value = str | int | float | bool | list[str]

DATASET_FILE, TRAINING_FILE = "dataset.toml", "training.toml"


def write_kohya(
    rows: Iterable[DatasetRow], folder: Path, target: Path, settings: TrainerSettings
) -> Written:
    """Write the folder that ``--config_file training.toml`` trains on; return the counts.

    Variants are further lines of a caption file, of which ``enable_wildcard`` chooses one. Only the
    UNet is trained.

    Raises:
        DataError: If kohya's tools do not train the family from a folder in diffusers' layout.
    """
    if not settings.elsewhere.kohya:
        raise DataError(
            f"sd-scripts do not train a base of {settings.family} from diffusers' layout: export "
            "for another trainer"
        )
    written = write_sidecars(_escaped(rows), folder, with_variants=True)
    dataset: dict[str, Value] = {
        "resolution": settings.resolution_px,
        "batch_size": settings.batch_size,
        "enable_bucket": True,
        "bucket_no_upscale": True,
        # sd-scripts refuse a resolution outside of these, which are 256 and 1024 if left out.
        "min_bucket_reso": min(256, settings.resolution_px),
        "max_bucket_reso": max(1024, settings.resolution_px),
    }
    subset: dict[str, Value] = {
        "image_dir": str(target / "train"),
        "caption_extension": CAPTION_EXTENSION,
        "num_repeats": settings.repeats,
        "flip_aug": settings.flip,
        "caption_dropout_rate": settings.caption_dropout,
        "enable_wildcard": True,
        "shuffle_caption": False,
    }
    lines = ["[[datasets]]", *toml_lines(dataset)]
    lines += ["", "  [[datasets.subsets]]", *toml_lines(subset, indent="  ")]
    _write(folder / DATASET_FILE, lines)
    full, adapters = settings.elsewhere.kohya
    training: dict[str, Value] = {
        "pretrained_model_name_or_path": settings.base,
        **settings.elsewhere.kohya_keys,
        # sd-scripts read neither from the base.
        **({"v_parameterization": True} if settings.predicts == "v" else {}),
        **({"zero_terminal_snr": True} if settings.zero_snr else {}),
        "dataset_config": str(target / DATASET_FILE),
        "output_dir": str(trained_folder(target)),
        "output_name": settings.name,
        "save_model_as": "safetensors",
        "save_precision": "fp16",
        "mixed_precision": "bf16",
        "max_train_epochs": settings.epochs,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "learning_rate": settings.learning_rate,
        **_optimisation(settings),
        "seed": settings.seed,
    }
    if settings.lora_rank is not None:
        training |= {"network_module": "networks.lora", "network_dim": settings.lora_rank}
        training |= {"network_alpha": settings.alpha, "network_train_unet_only": True}
    elif full == "train_db.py":
        training["stop_text_encoder_training"] = -1  # sdxl_train.py trains none unless asked
    _write(folder / TRAINING_FILE, toml_lines(training))
    script = full if settings.lora_rank is None else adapters
    config = shlex.quote(str(target / TRAINING_FILE))
    written.command = f"accelerate launch {script} --config_file {config}"
    return written


_OPTIMIZERS = {"adamw": "AdamW", "adamw_8bit": "AdamW8bit", "adafactor": "AdaFactor"}


def _optimisation(settings: TrainerSettings) -> dict[str, Value]:
    arguments = [f"weight_decay={settings.weight_decay}"]
    if settings.optimizer == "adafactor":
        # Its steps would be sized by their number and by the weights if these were left out.
        arguments += ["relative_step=False", "scale_parameter=False", "warmup_init=False"]
    else:
        arguments.append(f"betas=({settings.adam_beta1}, {settings.adam_beta2})")
        arguments.append(f"eps={settings.adam_epsilon}")
    weighed = {} if settings.min_snr_gamma is None else {"min_snr_gamma": settings.min_snr_gamma}
    return {
        "lr_scheduler": settings.lr_scheduler,
        "lr_warmup_steps": settings.lr_warmup_steps,
        "optimizer_type": _OPTIMIZERS[settings.optimizer],
        "optimizer_args": arguments,
        "max_grad_norm": settings.max_grad_norm,
        "noise_offset": settings.noise_offset,
        **weighed,
    }


def _escaped(rows: Iterable[DatasetRow]) -> Iterable[DatasetRow]:
    """Double the braces, which ``enable_wildcard`` would read as a choice of words."""
    for row in rows:
        yield replace(
            row, text=_braces(row.text), variants=tuple(_braces(text) for text in row.variants)
        )


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def toml_lines(values: Mapping[str, Value], *, indent: str = "") -> Sequence[str]:
    """Return ``key = value`` lines (https://toml.io/en/v1.0.0)."""
    return [f"{indent}{key} = {_value(value)}" for key, value in values.items()]


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for the control character that JSON permits.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    return repr(value)
