"""What is decoded where the device has not the memory for all of a batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from styledag.errors import DeviceError
from styledag.progress import SilentProgress
from styledag.sampling.sampler import Sampler
from styledag.store.workspace import Workspace

PAIRS = [("a", 0), ("b", 0)]


def limit(sampler: Sampler, most: int) -> list[int]:
    """Let the autoencoder decode so many images at a time; returns how many it was given."""
    autoencoder = sampler.parts.autoencoder()
    decode, given = autoencoder.decode, []

    def limited(latents: torch.Tensor) -> Any:
        given.append(len(latents))
        if len(latents) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(latents)

    autoencoder.decode = limited  # type: ignore[method-assign]
    return given


def test_a_batch_too_large_to_decode_is_decoded_one_by_one(
    make_sampler: Callable[..., Sampler],
) -> None:
    """As of Stable Diffusion XL, whose autoencoder takes more memory than its UNet."""
    sampler, plain = make_sampler(), make_sampler()
    given = limit(sampler, 1)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    drawn, expected = (np.stack(each.denoiser.decode(latents, PAIRS)) for each in (sampler, plain))
    assert given == [2, 1, 1]
    assert abs(drawn.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("batch_size", "remedy"), [(4, "batch_size"), (1, "width_px")])
def test_an_image_too_large_to_decode_is_refused_with_what_helps(
    make_sampler: Callable[..., Sampler], workspace: Workspace, batch_size: int, remedy: str
) -> None:
    sampler = make_sampler(batch_size=batch_size)
    limit(sampler, 0)
    with (
        SilentProgress().task("samples", None) as advance,
        pytest.raises(DeviceError, match=rf"draw {batch_size} images .*set samples\.{remedy}"),
    ):
        sampler.draw(sampler.pairs, workspace, advance)
