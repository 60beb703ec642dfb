"""Which of the UNet's parameters a recipe trains."""

from collections.abc import Mapping
from typing import Literal

from torch import nn

from styledag.errors import TrainingError

Trained = Literal["unet", "attention", "cross_attention"]

_PARTS: Mapping[Trained, tuple[str, ...]] = {
    "attention": ("attn1", "attn2"),
    "cross_attention": ("attn2",),
}
"""Names of modules in diffusers' transformer blocks: attn1 looks at the picture, attn2 reads."""


def select_trainable(unet: nn.Module, trained: Trained) -> dict[str, nn.Parameter]:
    """Return the parameters to train by name, in the model's order; all others are frozen.

    Args:
        unet: Changed in place: ``requires_grad`` of every parameter is set.
        trained: ``unet``, or its ``attention`` or ``cross_attention`` layers.

    Raises:
        TrainingError: If the UNet has no such part.
    """
    selected = {}
    for name, parameter in unet.named_parameters():
        chosen = trained == "unet" or not set(_PARTS[trained]).isdisjoint(name.split("."))
        parameter.requires_grad_(chosen)
        if chosen:
            selected[name] = parameter
    if not selected:
        raise TrainingError(
            f"the recipe trains {trained!r}, but the base's UNet has no layer named "
            f"{' or '.join(_PARTS.get(trained, ('anything',)))}: train 'unet', "
            "or take another base"
        )
    return selected
