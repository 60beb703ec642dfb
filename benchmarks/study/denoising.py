"""How well a UNet still predicts images: its loss on the style's drawings and on the base's own.

The same noise for every UNet, so that two of them differ in what they know and in nothing else.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from styledag.bases.base import Base, Objective
from styledag.bases.conditioning import Conditioning
from styledag.models.compute import Compute
from styledag.randomness import generator_for
from styledag.sampling.frozen_parts import FrozenParts
from styledag.training.encoding.dataset import EncodedDataset

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
    parts = FrozenParts(base, compute)
    model = parts.base.denoiser(unet, device=compute.device, dtype=compute.dtype)
    objective = parts.base.objective(min_snr_gamma=5.0)
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
        shares = [(band + 0.5) / BANDS for _, band in batch]
        channels, height, width = latents.shape[1:]
        timesteps = objective.timesteps(shares, (channels, height, width))
        conditioning = parts.conditioning([captions[sample.id] for sample, _ in batch])
        errors = _errors(
            model, parts.base, objective, (latents, noise, timesteps), conditioning, compute
        )
        for (sample, _), error in zip(batch, errors.tolist(), strict=True):
            found[sample.id] += error / BANDS
    return found


@torch.inference_mode()
def _errors(
    model: torch.nn.Module,
    base: Base,
    objective: Objective,
    seen: Sequence[Tensor],
    conditioning: Conditioning,
    compute: Compute,
) -> Tensor:
    latents, noise, timesteps = (each.to(compute.device) for each in seen)
    noisy = objective.noisy(latents, noise, timesteps).to(compute.dtype)
    prediction = base.predict(model, noisy, timesteps, conditioning.to(dtype=compute.dtype))
    target = objective.target(latents, noise, timesteps)
    return objective.per_sample(prediction, target, timesteps)
