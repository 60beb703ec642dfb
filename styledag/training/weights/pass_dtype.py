"""The dtype that a training's passes compute in."""

from dataclasses import replace
from typing import TYPE_CHECKING

from styledag.errors import TrainingError

if TYPE_CHECKING:
    from styledag.models.compute import Compute
    from styledag.training.recipe import Recipe


def in_pass_dtype(compute: "Compute", recipe: "Recipe") -> "Compute":
    """Return ``compute`` with the dtype of a recipe's forward and backward passes.

    It is bfloat16 where the weights are, since a layer's inputs must have its weights' dtype.

    Raises:
        TrainingError: If the passes would be in float16, or in a bfloat16 that the device lacks.
    """
    import torch

    from styledag.models.compute import device_name, has_bfloat16

    if compute.dtype == torch.float16:
        raise TrainingError(
            "gradients in float16 vanish without a loss scale: set dtype to bfloat16, "
            "or to float32 where the device has no bfloat16"
        )
    if recipe.weights != "bfloat16":
        return compute
    if not has_bfloat16(compute.device):
        raise TrainingError(
            f"the recipe's weights are bfloat16, which {device_name(compute.device)} does not "
            "have: set weights to float32"
        )
    return replace(compute, dtype=torch.bfloat16)
