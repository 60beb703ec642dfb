"""Images to predict, and what predicts them, for the tests of scores by the base."""

from pathlib import Path

import torch

from styledag.models.compute import Compute
from styledag.sampling.frozen_parts import FrozenParts
from styledag.scoring.denoising_loss import DenoisingLosses, NoisedImage
from styledag.store.workspace import Workspace

CPU = Compute(torch.device("cpu"), torch.float32)


def losses_of(
    base: Path, workspace: Workspace, batch_size: int = 6, compute: Compute = CPU
) -> DenoisingLosses:
    return DenoisingLosses(FrozenParts(base, compute), "base-1", workspace, batch_size)


def noised(number: int, shape: tuple[int, int, int], text: str = "a drawing") -> NoisedImage:
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(number))
    return NoisedImage(
        sha256=f"{number:064d}", text=text, group=f"family {number}", latents=lambda: latents
    )
