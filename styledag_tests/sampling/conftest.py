"""A base to draw with, and the settings of a quick drawing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from styledag.models.compute import Compute
from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings

BASE_VERSION = "b" * 64


@pytest.fixture
def base(starter: Path) -> Path:
    return starter / "stable-diffusion"


@pytest.fixture
def make_sampler(base: Path) -> Callable[..., Sampler]:
    def make(**changed: object) -> Sampler:
        chosen: dict[str, object] = {
            "prompts": ("a red apple", "a small dog"),
            "seeds": (0, 1),
            "num_inference_steps": 3,
            **changed,
        }
        settings = SampleSettings(**chosen)  # type: ignore[arg-type]
        compute = Compute(torch.device("cpu"), torch.float32)
        return Sampler(base, settings, compute, base_version=BASE_VERSION)

    return make
