from pathlib import Path
from typing import Any

import pytest
from torch import nn

from styledag.bases.find import find_base
from styledag.errors import TrainingError
from styledag.training.recipe import Recipe
from styledag.training.weights.trainable import Trainable
from styledag_tests.bases.loading import load_unet


def select(base: Path, unet: nn.Module, **recipe: Any) -> dict[str, nn.Parameter]:
    return Trainable(find_base(base), Recipe(**recipe)).select(unet)


@pytest.mark.parametrize(
    ("trained", "parts"),
    [("attention", ("attn1", "attn2")), ("cross_attention", ("attn2",))],
)
def test_only_the_named_layers_are_trained(
    base: Path, trained: str, parts: tuple[str, ...]
) -> None:
    unet = load_unet(base)
    selected = select(base, unet, trained=trained)
    for name, parameter in unet.named_parameters():
        wanted = any(f".{part}." in name for part in parts)
        assert parameter.requires_grad == wanted == (name in selected)
    assert 0 < len(selected) < len(list(unet.parameters()))


def test_only_the_named_blocks_are_trained(base: Path) -> None:
    unet = load_unet(base)
    up = select(base, unet, blocks=("up",))
    assert up
    assert all(name.startswith("up_blocks.") for name in up)
    coarsest = select(base, unet, blocks=("up.0", "mid"))
    assert coarsest
    assert all(name.startswith(("up_blocks.0.", "mid_block.")) for name in coarsest)
    middle = select(base, unet, trained="cross_attention", blocks=("mid", "down"))
    assert {name.split(".")[0] for name in middle} == {"mid_block", "down_blocks"}
    assert all(".attn2." in name for name in middle)


@pytest.mark.parametrize("blocks", [None, ("down", "mid", "up")])
def test_what_lies_in_no_block_is_trained_with_all_of_them(
    base: Path, blocks: tuple[str, ...] | None
) -> None:
    unet = load_unet(base)
    select(base, unet, trained="cross_attention")
    assert len(select(base, unet, blocks=blocks)) == len(list(unet.parameters()))
    assert all(parameter.requires_grad for parameter in unet.parameters())


def test_model_without_attention_is_refused(base: Path) -> None:
    with pytest.raises(TrainingError, match="attn1 or attn2"):
        select(base, nn.Sequential(nn.Linear(2, 2)), trained="attention")


@pytest.mark.parametrize("setting", ["blocks", "block_rates"])
def test_a_block_that_the_base_has_not_is_named_beside_its_own(base: Path, setting: str) -> None:
    named: Any = ("up.7",) if setting == "blocks" else {"up.7": 0.5}
    with pytest.raises(TrainingError, match=rf"{setting} names block 'up\.7'.*down\.0.*mid.*up\.1"):
        Trainable(find_base(base), Recipe(**{setting: named}))


def test_parameters_of_a_block_have_its_share_of_the_rate(base: Path) -> None:
    chosen = Trainable(find_base(base), Recipe(block_rates={"up": 0.5, "up.0": 0.25, "mid": 2.0}))
    for name, share in chosen.rate_shares(chosen.select(load_unet(base))).items():
        expected = {"up_blocks": 0.5, "mid_block": 2.0}.get(name.split(".")[0], 1.0)
        assert share == (0.25 if name.startswith("up_blocks.0.") else expected)


def test_a_rate_for_what_is_not_trained_is_refused(base: Path) -> None:
    chosen = Trainable(find_base(base), Recipe(blocks=("up",), block_rates={"mid": 0.5}))
    with pytest.raises(TrainingError, match="rate for block mid, but trains nothing in it"):
        chosen.rate_shares(chosen.select(load_unet(base)))
