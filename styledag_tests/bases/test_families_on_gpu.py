"""Every family on a CUDA device, beside the CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from styledag.bases.find import find_base
from styledag.models.compute import Compute
from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag_tests.bases.test_families import CPU, FAMILIES, encode, train
from styledag_tests.training.conftest import ragged_samples


@pytest.mark.gpu
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    ("dtype", "apart"), [(torch.float32, 0.01), (torch.bfloat16, 0.1)], ids=["float32", "bfloat16"]
)
def test_a_gpu_encodes_trains_and_draws_what_the_cpu_does(
    name: str,
    folder_of: Callable[[str], Path],
    workspace: Workspace,
    store: Store,
    tmp_path: Path,
    dtype: Any,
    apart: float,
) -> None:
    folder = folder_of(name)
    base = find_base(folder)
    gpu = Compute(torch.device("cuda", 0), dtype)
    encoded = encode(folder, ragged_samples(store, {(16, 16): 3}), workspace, gpu)
    lost: list[list[float]] = []
    drawn: list[Tensor] = []
    settings = SampleSettings(
        prompts=("a red apple",), seeds=(3,), scheduler=base.usual_sampler, num_inference_steps=4
    )
    for compute in (CPU, gpu):
        result = train(encoded, folder, tmp_path / compute.device.type, compute=compute)
        lost.append([each.loss for each in result.log])
        sampler = Sampler(folder, settings, compute, base_version="b", width_px=24, height_px=16)
        *_, latents = sampler.denoiser.denoise([("a red apple", 3)])
        drawn.append(latents.float().cpu())
        assert sampler.denoiser.decode(latents, [("a red apple", 3)])[0].size == (24, 16)
    assert lost[1] == pytest.approx(lost[0], rel=apart)
    assert (drawn[1] - drawn[0]).norm() < 2 * apart * drawn[0].norm()
