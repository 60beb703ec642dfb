"""Compile the blocks that a UNet repeats, rather than all of it: seconds instead of minutes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_GRAPHS_OF_ONE_BLOCK = 64
"""Stable Diffusion's residual blocks come in some twenty shapes; torch gives up after 8."""


def compile_blocks(unet: nn.Module) -> int:
    """Compile each residual and each transformer block in place, and return how many there are.

    Blocks of the same shapes share one compiled graph. In a residual block the compiler also does
    away with the copies that GroupNorm makes of channels_last images (pytorch issue 111824).

    Args:
        unet: Changed in place; its weights' names are not.
    """
    from diffusers.models.attention import BasicTransformerBlock
    from diffusers.models.resnet import ResnetBlock2D

    blocks = [
        each for each in unet.modules() if isinstance(each, ResnetBlock2D | BasicTransformerBlock)
    ]
    for block in blocks:
        block.compile(dynamic=False)
    return len(blocks)


@contextmanager
def room_for_graphs() -> Iterator[None]:
    """Let one block have as many compiled graphs as a UNet needs, for as long as this runs."""
    with torch._dynamo.config.patch(recompile_limit=_GRAPHS_OF_ONE_BLOCK):
        yield
