"""Learning rates, optimiser and loss of a recipe, as each trainer makes them of what it reads."""

import ast
import json
import math
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusers.optimization import get_scheduler
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LambdaLR, LinearLR, LRScheduler

from styledag.errors import DataError
from styledag.publishing.datasets.export import export_dataset
from styledag.publishing.datasets.settings import Trainer, TrainerSettings
from styledag.training.schedule import Schedule
from styledag_tests.publishing.datasets.conftest import Example

RATE = 2e-5
STEPS = 40


def exported(example: Example, trainer: Trainer, settings: TrainerSettings, target: Path) -> Any:
    """What a trainer reads of the optimiser: by key, or by argument."""
    command = export_dataset(example.folder, target, trainer, settings)["command"]
    match trainer:
        case "kohya":
            return tomllib.loads((target / "training.toml").read_text("utf-8"))
        case "onetrainer":
            return json.loads((target / "config.json").read_text("utf-8"))
        case "ai-toolkit":
            config = yaml.safe_load((target / "config.yaml").read_text("utf-8"))
            return config["config"]["process"][0]["train"]
    given = [word.removeprefix("--").partition("=") for word in shlex.split(command)[3:]]
    return {name: value for name, _, value in given}


def optimizer_args(config: Mapping[str, Any]) -> dict[str, Any]:
    """``optimizer_args`` as ``get_optimizer`` of sd-scripts reads them."""
    pairs = (argument.split("=") for argument in config["optimizer_args"])
    return {key: ast.literal_eval(value) for key, value in pairs}


def diffusers_schedule(config: Mapping[str, Any], optimizer: SGD, _: int) -> LRScheduler:
    """That of diffusers' scripts, of which sd-scripts have a copy."""
    return get_scheduler(
        config["lr_scheduler"],
        optimizer,
        num_warmup_steps=int(config["lr_warmup_steps"]),
        num_training_steps=STEPS,
    )


def ai_toolkit_schedule(config: Mapping[str, Any], optimizer: SGD, _: int) -> LRScheduler:
    """``get_lr_scheduler`` of ``toolkit/scheduler.py``."""
    params = {**config["lr_scheduler_params"], "total_iters": STEPS}
    match config["lr_scheduler"]:
        case "cosine":
            return CosineAnnealingLR(optimizer, params.pop("total_iters"), **params)
        case "linear":
            return LinearLR(optimizer, **params)
        case "constant":
            return ConstantLR(optimizer, **{"factor": 1.0, **params})
        case name:
            del params["total_iters"]
            assert name == "constant_with_warmup"
            return get_scheduler(name, optimizer, **params)


def onetrainer_schedule(
    config: Mapping[str, Any], optimizer: SGD, accumulation: int
) -> LRScheduler:
    """``create_lr_scheduler`` of ``modules/util/create.py``: a share, or microsteps if above 1."""
    warmup = config["learning_rate_warmup_steps"]
    warmup = int(warmup / accumulation) if warmup > 1 else int(warmup * STEPS)
    falling: Mapping[str, Callable[[float], float]] = {
        "CONSTANT": lambda _: 1.0,
        "LINEAR": lambda done: 1 - done,
        "COSINE": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    }
    falls = falling[config["learning_rate_scheduler"]]

    def share(step: int) -> float:
        return step / warmup if step < warmup else falls((step - warmup) / (STEPS - warmup))

    return LambdaLR(optimizer, share)


SCHEDULES: Mapping[Trainer, Any] = {
    "kohya": diffusers_schedule,
    "diffusers": diffusers_schedule,
    "ai-toolkit": ai_toolkit_schedule,
    "onetrainer": onetrainer_schedule,
}


@pytest.mark.parametrize("trainer", SCHEDULES)
@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
@pytest.mark.parametrize(("warmup", "accumulation"), [(0, 1), (1, 1), (8, 1), (8, 3)])
def test_learning_rates_are_the_recipes(
    trainer, shape, warmup, accumulation, example: Example, settings, tmp_path: Path
) -> None:
    """But for where a warm-up begins: at 0 there, above it here."""
    stated = {"lr_schedule": shape, "lr_warmup_steps": warmup}
    chosen = replace(settings, **stated, gradient_accumulation=accumulation)
    if trainer == "ai-toolkit" and warmup and shape != "constant":
        with pytest.raises(DataError, match=f"no warm-up before .* lr_warmup_steps {warmup} and"):
            exported(example, trainer, chosen, tmp_path / "to")
        assert not (tmp_path / "to").exists()
        return
    config = exported(example, trainer, chosen, tmp_path / "to")

    optimizer = SGD([torch.zeros(1)], lr=RATE)
    schedule = SCHEDULES[trainer](config, optimizer, accumulation)
    own = Schedule(highest=RATE, shape=shape, warmup_steps=warmup, total_steps=STEPS)
    for step in range(STEPS):
        within = RATE / warmup if step < warmup else RATE * 1e-3
        assert schedule.get_last_lr()[0] == pytest.approx(own.learning_rate(step), abs=within)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit", "adafactor"])
def test_the_optimizer_is_the_recipes(
    optimizer, example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    chosen = replace(
        settings,
        optimizer=optimizer,
        adam_beta1=0.8,
        adam_beta2=0.99,
        adam_epsilon=1e-6,
        weight_decay=0.05,
        max_grad_norm=0.5,
    )
    is_adam = optimizer != "adafactor"
    adafactor = {"relative_step": False, "scale_parameter": False, "warmup_init": False}

    kohya = exported(example, "kohya", chosen, tmp_path / "kohya")
    adam = {"betas": (0.8, 0.99), "eps": 1e-6}
    assert optimizer_args(kohya) == {"weight_decay": 0.05, **(adam if is_adam else adafactor)}
    assert kohya["max_grad_norm"] == 0.5

    onetrainer = exported(example, "onetrainer", chosen, tmp_path / "onetrainer")
    adam = {"beta1": 0.8, "beta2": 0.99, "eps": 1e-6}
    name = onetrainer["optimizer"].pop("optimizer")
    expected = {"__version": 0, "weight_decay": 0.05, **(adam if is_adam else adafactor)}
    assert onetrainer["optimizer"] == expected
    assert onetrainer["clip_grad_norm"] == 0.5

    ai_toolkit = exported(example, "ai-toolkit", chosen, tmp_path / "ai-toolkit")
    betas = {"betas": [0.8, 0.99]} if is_adam else {}
    assert ai_toolkit["optimizer_params"] == {"weight_decay": 0.05, **betas}
    assert ai_toolkit["max_grad_norm"] == 0.5

    names = (kohya["optimizer_type"], name, ai_toolkit["optimizer"])
    assert (
        names
        == {
            "adamw": ("AdamW", "ADAMW", "adamw"),
            "adamw_8bit": ("AdamW8bit", "ADAMW_8BIT", "adamw8bit"),
            "adafactor": ("AdaFactor", "ADAFACTOR", "adafactor"),
        }[optimizer]
    )

    if not is_adam:
        with pytest.raises(DataError, match=r"train_text_to_image\.py has no Adafactor"):
            exported(example, "diffusers", chosen, tmp_path / "diffusers")
        return
    diffusers = exported(example, "diffusers", chosen, tmp_path / "diffusers")
    assert ("use_8bit_adam" in diffusers) is (optimizer == "adamw_8bit")
    names = ("adam_beta1", "adam_beta2", "adam_epsilon", "adam_weight_decay", "max_grad_norm")
    assert [float(diffusers[name]) for name in names] == [0.8, 0.99, 1e-6, 0.05, 0.5]


def test_the_loss_is_the_recipes(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    chosen = replace(settings, min_snr_gamma=5.0, noise_offset=0.05)
    keys: Mapping[Trainer, tuple[str, str]] = {
        "kohya": ("min_snr_gamma", "noise_offset"),
        "onetrainer": ("loss_weight_strength", "offset_noise_weight"),
        "ai-toolkit": ("min_snr_gamma", "noise_offset"),
        "diffusers": ("snr_gamma", "noise_offset"),
    }
    for trainer, names in keys.items():
        config = exported(example, trainer, chosen, tmp_path / trainer)
        assert [float(config[name]) for name in names] == [5.0, 0.05], trainer
        plain = exported(example, trainer, settings, tmp_path / f"{trainer}-plain")
        assert [float(plain.get(name, 0)) for name in names] == [0, 0], trainer


def test_onetrainers_weighting_is_named(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    for gamma, name in ((None, "CONSTANT"), (5.0, "MIN_SNR_GAMMA")):
        chosen = replace(settings, min_snr_gamma=gamma)
        config = exported(example, "onetrainer", chosen, tmp_path / name)
        assert config["loss_weight_fn"] == name
