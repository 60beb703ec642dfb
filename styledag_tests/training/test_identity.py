from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from styledag.training.identity import (
    DECIDES,
    Decides,
    length_dependence,
    snapshot_identity,
    training_identity,
)
from styledag.training.recipe import (
    DecoderSettings,
    EmaSettings,
    PriorSettings,
    Recipe,
    StoppingSettings,
)
from styledag_tests.training.conftest import Encode
from styledag_tests.training.test_resume import weights
from styledag_tests.training.training import train

RECIPE = Recipe()
CONSTANT = Recipe(ema=EmaSettings(mode="warmup"))


def test_every_setting_is_classified_once() -> None:
    assert set(DECIDES) == {each.name for each in fields(Recipe)}


def test_what_decides_nothing_is_marked_so_in_the_recipe_too() -> None:
    for each in fields(Recipe):
        assert each.metadata["identity"] is (DECIDES[each.name] is not Decides.NOTHING), each.name


@pytest.mark.parametrize(
    ("change", "trains", "stores"),
    [
        ({"learning_rate": 1e-5}, True, True),
        ({"seed": 1}, True, True),
        ({"optimizer": "adafactor"}, True, True),
        ({"epochs": 11}, True, True),
        ({"snapshot_dtype": "bfloat16"}, True, True),
        ({"snapshot_every_epochs": 2}, True, False),
        ({"stopping": StoppingSettings(action="stop")}, True, False),
        ({"stopping": StoppingSettings(action="mark")}, False, False),
        ({"snapshot_format": "delta"}, False, True),
        ({"gradient_checkpointing": True}, False, False),
        ({"ema_on_cpu": True}, False, False),
        ({"save_state_every_steps": 1}, False, False),
        ({"keep_state": False}, False, False),
        ({"loggers": ("wandb",)}, False, False),
        ({"decoder": DecoderSettings()}, False, False),
    ],
    ids=str,
)
def test_a_change_makes_anew_what_it_decides(
    change: dict[str, Any], trains: bool, stores: bool
) -> None:
    changed = replace(RECIPE, **change)
    assert (training_identity(changed) != training_identity(RECIPE)) is trains
    assert (snapshot_identity(changed) != snapshot_identity(RECIPE)) is stores


def test_a_prior_whose_guidance_is_left_out_keeps_the_keys_of_models() -> None:
    left_out, named, other = (
        replace(RECIPE, prior=PriorSettings(class_prompt="a drawing", guidance_scale=scale))
        for scale in (None, 7.5, 0.0)
    )
    assert training_identity(left_out) == training_identity(named) != training_identity(other)


def test_how_much_patience_stopping_has_decides_the_model() -> None:
    for action, differs in (("stop", True), ("mark", False)):
        one, other = (
            replace(RECIPE, stopping=StoppingSettings(patience=patience, action=action))  # type: ignore[arg-type]
            for patience in (1, 2)
        )
        assert (training_identity(one) != training_identity(other)) is differs


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({}, None),
        ({"lr_warmup_steps": 5}, None),
        ({"ema": EmaSettings(mode="none")}, None),
        ({"ema": EmaSettings(mode="power")}, None),
        ({"ema": EmaSettings(mode="base", decay=0.99)}, None),
        ({"ema": EmaSettings(mode="base", base_share=0.2)}, "ema.base_share"),
        ({"lr_schedule": "cosine"}, "lr_schedule 'cosine'"),
        ({"lr_schedule": "linear"}, "lr_schedule 'linear'"),
    ],
    ids=str,
)
def test_checkpoints_of_a_longer_run_are_those_of_the_shorter_where_nothing_looks_at_the_end(
    change: dict[str, Any], setting: str | None
) -> None:
    recipe = replace(CONSTANT, **change)
    longer = replace(recipe, epochs=recipe.epochs + 1)
    assert length_dependence(recipe) == setting
    assert (snapshot_identity(longer) == snapshot_identity(recipe)) is (setting is None)
    assert training_identity(longer) != training_identity(recipe)


def test_settings_that_decide_nothing_give_the_same_bytes(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(5)
    changes: list[dict[str, Any]] = [
        {},
        {"gradient_checkpointing": True},
        {"ema_on_cpu": True},
        {"save_state_every_steps": 1},
        {"snapshot_format": "delta"},
    ]
    digests = {
        weights(train(encoded, base, tmp_path / str(number), epochs=2, **change))
        for number, change in enumerate(changes)
    }
    assert len(digests) == 1
