"""Appearances that any drawing can take: what a UNet learns from them is that looks have a name.

A subject that is only ever seen in an artist's few drawings is learnt with its colours and shades
as one thing, and a fine-tune cannot reach the one without the other. Shown in many appearances,
each the same change of all drawings and each with its word, they come apart.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

_LUMINANCE = (0.299, 0.587, 0.114)


def _grey(pixels: Tensor) -> Tensor:
    weights = pixels.new_tensor(_LUMINANCE)[:, None, None]
    return (pixels * weights).sum(dim=1, keepdim=True).expand_as(pixels)


def _inked(*ink: float) -> Callable[[Tensor], Tensor]:
    """Return how a drawing looks in shades of one ink, given as red, green and blue."""

    def printed(pixels: Tensor) -> Tensor:
        taken = 1 - pixels.new_tensor(ink)[:, None, None]
        return 1 - (1 - _grey(pixels)) * taken

    return printed


APPEARANCES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "dark": lambda pixels: pixels**2.2,
    "bright": lambda pixels: (_grey(pixels) + 1.8 * (pixels - _grey(pixels))).clamp(0, 1) ** 0.8,
    "pale": lambda pixels: 1 - (1 - pixels) * 0.45,
    "flat": lambda pixels: (pixels * 3).round() / 3,
    "funny": lambda pixels: pixels[:, [1, 2, 0]],
    "grey": _grey,
    "old": _inked(0.35, 0.2, 0.05),
    "blue": _inked(0.05, 0.2, 0.8),
    "red": _inked(0.8, 0.1, 0.1),
    "green": _inked(0.05, 0.5, 0.1),
    "purple": _inked(0.45, 0.1, 0.6),
}
"""What each does to drawings between 0 and 1, BCHW; white stays white. ``flat`` leaves four steps
of each colour, ``funny`` exchanges them, the last ones print in one ink."""

NAMES = tuple(APPEARANCES)


def appeared(pixels: Tensor, name: str) -> Tensor:
    """Return drawings, uint8, BCHW, in an appearance."""
    return (APPEARANCES[name](pixels.float() / 255) * 255).round().to(torch.uint8)
