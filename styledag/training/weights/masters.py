"""Weights in float32 beside those, in a lower dtype, that the passes compute with.

A step below half of the distance to the next bfloat16 would leave a weight where it is, so steps
are taken on the float32 ones (Micikevicius et al. 2018, "Mixed Precision Training"), which the
passes see rounded. Autocast rounds them anew in each pass instead, and carries activations between
float32 and the lower dtype wherever a normalisation stands.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def lower(
    denoiser: nn.Module, dtype: torch.dtype, *, accumulates: bool = False
) -> Mapping[str, Tensor]:
    """Round a denoiser's float32 parameters to the dtype of its passes, in place.

    Buffers stay as they are: positions are computed with before they are added.

    Args:
        denoiser: Its trained parameters require a gradient, all others do not.
        dtype: Of the passes.
        accumulates: Whether gradients of several passes are summed, which they are in float32.

    Returns:
        The trained parameters' float32 values by name; none where nothing is rounded.
    """
    masters = {}
    for name, parameter in denoiser.named_parameters():
        if parameter.dtype != torch.float32 or dtype == torch.float32:
            continue
        if parameter.requires_grad:
            masters[name] = parameter.data
        parameter.data = parameter.data.to(dtype)
        if parameter.requires_grad and accumulates:
            parameter.grad_dtype = torch.float32
    return masters
