"""The base as it was, beside the UNet in training: what the empty caption goes on to mean.

Classifier-free guidance leads away from what the UNet says of the empty caption. A fine-tune moves
that too, captions dropped or not, and then guidance no longer leads towards what was learned, but
back to what the base draws (Phunyaphibarn et al. 2025, "Unconditional Priors Matter! Improving
Conditional Generation of Fine-Tuned Diffusion Models", who take the base's word while sampling).
Held to the base in training instead, the fine-tune stays one model that any pipeline reads.
"""

from pathlib import Path

import torch
from torch import Tensor

from styledag.bases.parts import load_unet
from styledag.models.compute import Compute
from styledag.training.batches import Batch


class FrozenBase:
    """A base's UNet that nothing changes.

    Args:
        base: Folder in diffusers' layout.
        compute: Device, and the dtype of its weights.

    Raises:
        ModelError: If the UNet cannot be loaded.
    """

    def __init__(self, base: Path, compute: Compute) -> None:
        self._unet = load_unet(base, device=compute.device, dtype=compute.dtype)
        if compute.channels_last:
            self._unet.to(memory_format=torch.channels_last)
        self._unet.requires_grad_(False)
        self._dtype = compute.dtype

    @torch.no_grad()
    def said_where_dropped(self, target: Tensor, noisy_latents: Tensor, batch: Batch) -> Tensor:
        """Return a target in which the base speaks for the samples whose caption was dropped.

        Args:
            target: What the schedule says is right, float32. # BCHW
            noisy_latents: What the UNet sees. # BCHW
            batch: The batch that they are of, on the base's device.
        """
        at = batch.dropped.nonzero()[:, 0]
        if not len(at):
            return target
        said = self._unet(
            noisy_latents[at].to(self._dtype),
            batch.timesteps[at],
            batch.encoder_hidden_states[at].to(self._dtype),
            return_dict=False,
        )[0]
        return target.index_copy(0, at, said.to(target.dtype))
