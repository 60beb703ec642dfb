from pathlib import Path

import pytest
import torch

from styledag.models.compute import Compute
from styledag.training.estimating.estimate import PlannedTraining, estimate_training
from styledag.training.estimating.throughput import Throughput, measure_throughput, predict_time
from styledag.training.recipe import Recipe
from styledag_tests.training.conftest import CPU


def planned(base: Path, compute: Compute = CPU) -> PlannedTraining:
    recipe = Recipe(epochs=2, batch_size=4)
    return PlannedTraining(
        base=base, recipe=recipe, compute=compute, latents={(4, 8, 8): 8}, validation=2, captions=3
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_device_is_measured_with_the_bases_own_blocks(base: Path, dtype: torch.dtype) -> None:
    found = measure_throughput(planned(base, Compute(torch.device("cpu"), dtype)))
    assert 1e6 < found.flops_per_s < 1e15
    assert 1e6 < found.bytes_per_s < 1e15


def test_time_follows_from_operations_and_throughput(base: Path) -> None:
    estimate = estimate_training(planned(base))
    predicted = predict_time(estimate, Throughput(flops_per_s=1e9, bytes_per_s=1e30))
    flops = (
        estimate.images * estimate.flops
        + estimate.validated * estimate.flops_forward
        + estimate.encoded * estimate.flops_encode
        + estimate.captions * estimate.flops_caption
    )
    assert predicted.total_s == pytest.approx(flops / 1e9)
    assert predicted.training_s == pytest.approx(16 * estimate.flops / 1e9)
    slow = predict_time(estimate, Throughput(flops_per_s=1e30, bytes_per_s=1e9))
    assert slow.training_s == pytest.approx(estimate.steps * estimate.moved_bytes / 1e9)
