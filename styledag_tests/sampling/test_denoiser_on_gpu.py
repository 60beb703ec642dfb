"""What only a CUDA device can show of drawing."""

from pathlib import Path

import pytest
import torch

from styledag.models.compute import Compute
from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings


@pytest.mark.gpu
@pytest.mark.parametrize("scheduler", ["ddim", "dpm++", "euler"])
def test_no_denoising_step_waits_for_the_device(base: Path, scheduler: str) -> None:
    """Of ``euler_a`` each does, whose noise is the CPU's on all devices."""
    pairs = [("a cat", 1), ("a dog", 2)]
    settings = SampleSettings(
        prompts=("a cat", "a dog"), seeds=(1,), scheduler=scheduler, num_inference_steps=4
    )
    compute = Compute(torch.device("cuda", 0), torch.float32)
    steps = Sampler(base, settings, compute, base_version="b").denoiser.denoise(pairs)
    next(steps)  # the noise
    next(steps)  # the first step still copies the timesteps
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(steps)) == 3
    finally:
        torch.cuda.set_sync_debug_mode("default")
