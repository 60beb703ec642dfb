"""A recipe in JSON is held to what a style file is held to, by the standard library alone."""

import json
from dataclasses import asdict

import pytest

from styledag.errors import TrainingError
from styledag.training.recipe import (
    DecoderSettings,
    EmaSettings,
    LoraSettings,
    PriorSettings,
    Recipe,
    StoppingSettings,
    recipe_from_json,
)

FULL = Recipe(
    blocks=("up", "mid"),
    block_rates={"up.0": 0.5},
    lora=LoraSettings(rank=2, alpha=4.0, base_bits=8),
    prior=PriorSettings(class_prompt="a drawing"),
    ema=EmaSettings(mode="power", lengths=(0.05, 0.1)),
    decoder=DecoderSettings(),
    stopping=StoppingSettings(),
    loggers=("tensorboard",),
    min_snr_gamma=5.0,
)


@pytest.mark.parametrize("recipe", [Recipe(), FULL])
def test_what_is_written_is_read(recipe: Recipe) -> None:
    assert recipe_from_json(json.dumps(asdict(recipe)), "file") == recipe


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({"epochs": 1.5}, "epochs is 1.5, but must be a whole number"),
        ({"epochs": "2"}, "epochs is '2', but must be a whole number"),
        ({"batch_size": True}, "batch_size is True, but must be a whole number"),
        ({"learning_rate": "1e-4"}, "learning_rate is '1e-4', but must be a number"),
        ({"horizontal_flip": 1}, "horizontal_flip is 1, but must be true or false"),
        ({"loggers": ["foo"]}, "loggers is 'foo', but must be one of"),
        ({"loggers": "wandb"}, "loggers is 'wandb', but must be a list"),
        ({"blocks": [1]}, "blocks is 1, but must be text"),
        ({"block_rates": {"up.0": "a"}}, r"block_rates\['up.0'\] is 'a', but must be a number"),
        ({"ema": {"mode": "power", "lengths": [0.1]}}, "must have 2 values"),
        ({"ema": {"decay": "x"}}, "decay is 'x', but must be a number"),
        ({"lora": {"base_bits": 8.0}}, "base_bits is 8.0, but must be one of"),
        ({"lora": {"ranks": 8}}, "lora has no key 'ranks'"),
        ({"epoch": 1}, "the recipe has no key 'epoch'"),
        ([], "the recipe is .., but must be an object"),
    ],
)
def test_what_is_no_recipe_is_refused_by_its_key(plain: object, said: str) -> None:
    with pytest.raises(TrainingError, match=f"file is no recipe: .*{said}"):
        recipe_from_json(json.dumps(plain), "file")
