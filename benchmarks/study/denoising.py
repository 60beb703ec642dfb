"""How well a UNet still predicts images: its loss on the style's drawings and on the base's own.

The same noise for every UNet, so that two of them differ in what they know and in nothing else.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from styledag.bases.parts import load_scheduler, load_unet
from styledag.models.compute import Compute
from styledag.randomness import generator_for
from styledag.sampling.base_parts import BaseParts
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.loss import DiffusionLoss

BANDS = 4
"""Each image is asked for once in each equal part of the timesteps, in its middle."""
_BATCH = 32


def losses(
    unet: Path, base: Path, encoded: EncodedDataset, captions: Mapping[str, str], compute: Compute
) -> dict[str, float]:
    """Return a UNet's mean loss on each image by its id, weighted by min-SNR 5.

    Args:
        unet: Folder of the UNet.
        base: The base, for its schedule and text encoder.
        encoded: The images.
        captions: Each image's caption, by its id.
        compute: Device and dtype.
    """
    model = load_unet(unet, device=compute.device, dtype=compute.dtype, subfolder="")
    loss = DiffusionLoss(load_scheduler(base), min_snr_gamma=5.0)
    parts = BaseParts(base, compute)
    asked = [(sample, band) for sample in encoded.samples for band in range(BANDS)]
    found: dict[str, float] = dict.fromkeys((each.id for each in encoded.samples), 0.0)
    for start in range(0, len(asked), _BATCH):
        batch = asked[start : start + _BATCH]
        drawn = [generator_for("claims", sample.id, band) for sample, band in batch]
        latents = torch.stack(
            [
                encoded.sample_latents(sample, generator)
                for (sample, _), generator in zip(batch, drawn, strict=True)
            ]
        )
        noise = torch.stack([torch.randn(latents.shape[1:], generator=each) for each in drawn])
        shares = torch.tensor([(band + 0.5) / BANDS for _, band in batch])
        states = parts.encoder_hidden_states([captions[sample.id] for sample, _ in batch])
        errors = _errors(model, loss, (latents, noise, shares), states, compute)
        for (sample, _), error in zip(batch, errors.tolist(), strict=True):
            found[sample.id] += error / BANDS
    return found


@torch.inference_mode()
def _errors(
    model: torch.nn.Module,
    loss: DiffusionLoss,
    seen: Sequence[Tensor],
    states: Tensor,
    compute: Compute,
) -> Tensor:
    latents, noise, shares = (each.to(compute.device) for each in seen)
    timesteps = (shares * loss.timesteps).long()
    noisy = loss.noisy(latents, noise, timesteps).to(compute.dtype)
    prediction = model(noisy, timesteps, states.to(compute.dtype)).sample
    return loss.per_sample(prediction, loss.target(latents, noise, timesteps), timesteps)
