from pathlib import Path

import pytest
from torch import nn

from styledag.bases.parts import load_unet
from styledag.errors import TrainingError
from styledag.training.trainable import Trained, is_in, select_trainable


@pytest.mark.parametrize(
    ("trained", "parts"),
    [("attention", ("attn1", "attn2")), ("cross_attention", ("attn2",))],
)
def test_only_the_named_layers_are_trained(
    base: Path, trained: Trained, parts: tuple[str, ...]
) -> None:
    unet = load_unet(base)
    selected = select_trainable(unet, trained)
    for name, parameter in unet.named_parameters():
        wanted = any(f".{part}." in name for part in parts)
        assert parameter.requires_grad == wanted == (name in selected)
    assert 0 < len(selected) < len(list(unet.parameters()))


def test_only_the_named_blocks_are_trained(base: Path) -> None:
    unet = load_unet(base)
    up = select_trainable(unet, "unet", ("up",))
    assert up
    assert all(name.startswith("up_blocks.") for name in up)
    middle = select_trainable(unet, "cross_attention", ("mid", "down"))
    assert {name.split(".")[0] for name in middle} == {"mid_block", "down_blocks"}
    assert all(".attn2." in name for name in middle)
    # What lies in no block is trained with all of them only.
    everything = select_trainable(unet, "unet", ("down", "mid", "up"))
    assert {"conv_in.weight", "time_embedding.linear_1.weight"} <= everything.keys()


def test_a_block_is_told_from_its_like(base: Path) -> None:
    names = [name for name, _ in load_unet(base).named_parameters()]
    coarsest = [name for name in names if is_in(name, "up.0")]
    assert coarsest
    assert all(name.startswith("up_blocks.0.") for name in coarsest)
    assert all(name.startswith("mid_block.") == is_in(name, "mid") for name in names)
    assert not is_in("up_blocks.01.weight", "up.0")
    assert not is_in("conv_in.weight", "mid")


def test_whole_unet_can_be_trained_after_a_part_of_it(base: Path) -> None:
    unet = load_unet(base)
    select_trainable(unet, "cross_attention")
    assert len(select_trainable(unet, "unet")) == len(list(unet.parameters()))
    assert all(parameter.requires_grad for parameter in unet.parameters())


def test_model_without_attention_is_refused() -> None:
    with pytest.raises(TrainingError, match="attn1 or attn2"):
        select_trainable(nn.Sequential(nn.Linear(2, 2)), "attention")
