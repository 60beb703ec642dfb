"""Whether a base's denoiser can read an encoded dataset, and its weights be stored, at all."""

from typing import TYPE_CHECKING

from styledag.bases.base import Base
from styledag.errors import ModelError, TrainingError
from styledag.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from styledag.training.encoding.dataset import EncodedDataset


def check_fit(base: Base, encoded: "EncodedDataset") -> None:
    """Check the base's configurations against the shapes of latents and conditionings.

    Raises:
        ModelError: If they differ, or the denoiser needs inputs that its family does not have.
    """
    base.denoiser(device="meta")
    where = f"the denoiser of {base.folder}"
    if base.latents.channels != encoded.latent_channels:
        raise ModelError(
            f"{where} reads latents of {base.latents.channels} channels, but the encoded dataset "
            f"has {encoded.latent_channels}: encode with this base"
        )
    read = {name: each.shape[-1] for name, each in base.meta_conditioning(1).tensors.items()}
    found = {name: each.shape[-1] for name, each in encoded.conditioning.tensors.items()}
    if read.keys() != found.keys():
        raise ModelError(
            f"{where} reads {', '.join(sorted(read))}, but the encoded dataset has "
            f"{', '.join(sorted(found))}: encode with this base's own text encoders"
        )
    for name, width in read.items():
        if found[name] != width:
            raise ModelError(
                f"{where} reads {name} that are {width} wide, but the encoded dataset's are "
                f"{found[name]} wide: encode with this base's own text encoders"
            )


def check_snapshots(denoiser: "nn.Module", recipe: Recipe) -> None:
    """Check that the weights that training begins with can be stored in its snapshots.

    Raises:
        TrainingError: If one is too large for their dtype, as the first snapshot would say after
            its epochs.
    """
    import torch

    most = torch.finfo(getattr(torch, recipe.snapshot_dtype)).max
    for name, weight in denoiser.state_dict().items():
        if not weight.is_floating_point() or weight.is_meta or not weight.numel():
            continue
        largest = float(weight.abs().max())
        if most < largest < float("inf"):
            raise TrainingError(
                f"weight {name} of the base is {largest:g}, which snapshots in "
                f"{recipe.snapshot_dtype} cannot hold (at most {most:g}): set snapshot_dtype to "
                "'bfloat16'"
            )
