"""Kernels of bitsandbytes tried before a run: it may be installed for another CUDA than torch's."""

import torch
from torch import nn

from styledag.errors import TrainingError
from styledag.models.compute import Compute
from styledag.training.optimising.optimizers import Optimizer, OptimizerSettings
from styledag.training.recipe import Recipe
from styledag.training.weights.quantised import QuantisedLinear

_SIDE = 128
"""Of a matrix with as many elements as bitsandbytes keeps moments in 8 bits for (4,096)."""


def try_bitsandbytes(recipe: Recipe, compute: Compute) -> None:
    """Take one step on a small matrix with the kernels that a recipe uses.

    Raises:
        TrainingError: If bitsandbytes is not installed, or not for this device.
    """
    layer = nn.Linear(_SIDE, _SIDE, bias=False, device=compute.device)
    inputs = torch.ones(1, _SIDE, device=compute.device)
    try:
        if recipe.base_bits is not None:
            inputs = QuantisedLinear(
                layer, recipe.base_bits, device=compute.device, dtype=torch.float32
            )(inputs)
        layer(inputs).sum().backward()
        Optimizer(dict(layer.named_parameters()), OptimizerSettings.of(recipe)).step(1e-4, step=0)
        inputs.sum().item()  # CUDA reports a kernel that failed when its result is read
    except (RuntimeError, OSError, AttributeError, NotImplementedError) as exc:
        raise TrainingError(
            f"bitsandbytes does not work on {compute.device} ({str(exc).strip().splitlines()[0]}): "
            "install the version for torch's CUDA, or set optimizer to 'adafactor' and remove "
            "lora.base_bits"
        ) from exc
