"""Which of the UNet's parameters a recipe trains."""

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import nn

from styledag.errors import TrainingError
from styledag.training.recipe import Level

Trained = Literal["unet", "attention", "cross_attention"]
Block = Literal["down", "mid", "up"]

_PARTS: Mapping[Trained, tuple[str, ...]] = {
    "attention": ("attn1", "attn2"),
    "cross_attention": ("attn2",),
}
"""Names of modules in diffusers' transformer blocks: attn1 looks at the image, attn2 reads."""
_BLOCKS: Mapping[str, str] = {"down": "down_blocks", "mid": "mid_block", "up": "up_blocks"}
ALL_BLOCKS: tuple[Block, ...] = ("down", "mid", "up")


def select_trainable(
    unet: nn.Module, trained: Trained, blocks: Sequence[Block] = ALL_BLOCKS
) -> dict[str, nn.Parameter]:
    """Return the parameters to train by name, in the model's order; all others are frozen.

    Args:
        unet: Changed in place: ``requires_grad`` of every parameter is set.
        trained: ``unet``, or its ``attention`` or ``cross_attention`` layers.
        blocks: Parts of the UNet in which they are trained. What lies in none of them, such as
            the time embedding, is trained with all of them only.

    Raises:
        TrainingError: If the UNet has no such part.
    """
    selected = {}
    for name, parameter in unet.named_parameters():
        chosen = is_trained(name, trained, blocks)
        parameter.requires_grad_(chosen)
        if chosen:
            selected[name] = parameter
    if not selected:
        layers = f" named {' or '.join(_PARTS[trained])}" if trained in _PARTS else ""
        raise TrainingError(
            f"the recipe trains {trained!r} in blocks {', '.join(blocks)}, but the base's UNet has "
            f"no layer{layers} there: train 'unet', name other blocks, or take another base"
        )
    return selected


def is_trained(name: str, trained: Trained, blocks: Sequence[Block]) -> bool:
    """Return whether a recipe trains the parameter of a name, such as ``mid_block.attentions.0``.

    Args:
        name: The parameter's name in diffusers' UNet.
        trained: The recipe's ``trained``.
        blocks: The recipe's ``blocks``.
    """
    parts = name.split(".")
    if trained != "unet" and set(_PARTS[trained]).isdisjoint(parts):
        return False
    return set(blocks) == set(ALL_BLOCKS) or parts[0] in {_BLOCKS[block] for block in blocks}


def is_in(name: str, level: Level) -> bool:
    """Return whether a parameter of a name lies in one block.

    Args:
        name: The parameter's name in diffusers' UNet.
        level: The block.
    """
    place, *number = level.split(".")
    return name.split(".")[: 1 + len(number)] == [_BLOCKS[place], *number]
