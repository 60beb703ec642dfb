"""Blends of many weights in the memory of one denoiser; nothing is written."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError

if TYPE_CHECKING:
    from styledag.merging.blend import Blending


def blend_into(model: Any, blending: "Blending", weight: float) -> None:
    """Put the blend of a base and one fine-tune into a denoiser, in place of its weights.

    The values are those that :func:`~styledag.merging.blend.blend_models` writes, rounded to the
    denoiser's dtype. The parents are read by memory map, so that from the second weight on they
    come out of memory.

    Raises:
        ModelError: If the parents hold NaN or infinity, or other tensors than the denoiser.
    """
    import torch

    own: Mapping[str, torch.Tensor] = model.state_dict()
    names = {spec.name for spec in blending.specs}
    if own.keys() != names:
        raise ModelError(
            f"{min(own.keys() ^ names)!r} is a tensor of either the parents' files or the loaded "
            "denoiser, not of both: load the base by diffusers and save it again"
        )
    with torch.no_grad():
        for spec in blending.specs:
            own[spec.name].copy_(blending.piece([weight], spec, 0, spec.rows))
