"""A recipe in JSON is held to what a style file is held to."""

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
        ({"epochs": 1.5}, r"epochs: Input should be a valid integer \(found 1.5\)"),
        ({"epochs": "2"}, r"epochs: Input should be a valid integer \(found '2'\)"),
        ({"epochs": 0}, "epochs: .*at least 1|epochs: .*greater than or equal to 1"),
        ({"batch_size": True}, r"batch_size: .* integer \(found True\)"),
        ({"learning_rate": "1e-4"}, r"learning_rate: .* number \(found '1e-4'\)"),
        ({"horizontal_flip": 1}, r"horizontal_flip: .* boolean \(found 1\)"),
        ({"loggers": ["foo"]}, r"loggers.0: .*'tensorboard'.* \(found 'foo'\)"),
        ({"loggers": "wandb"}, "loggers: .* array"),
        ({"blocks": [1]}, r"blocks.0: .* string \(found 1\)"),
        ({"block_rates": {"up.0": "a"}}, r"block_rates.up.0: .* number \(found 'a'\)"),
        ({"ema": {"mode": "power", "lengths": [0.1]}}, "ema.lengths.1: Field required"),
        ({"ema": {"decay": "x"}}, "ema.decay: .* number"),
        ({"lora": {"base_bits": 8.5}}, "lora.base_bits: "),
        ({"lora": {"ranks": 8}}, "lora.ranks: Unexpected"),
        ({"epoch": 1}, "epoch: Unexpected"),
        ([], "it: Input should be an object"),
    ],
)
def test_what_is_no_recipe_is_refused_by_its_key(plain: object, said: str) -> None:
    with pytest.raises(TrainingError, match=f"file is no recipe: .*{said}"):
        recipe_from_json(json.dumps(plain), "file")
