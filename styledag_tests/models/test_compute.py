"""The device: the one that is there, or an error; never quietly another."""

import pytest
import torch

from styledag.errors import DeviceError
from styledag.models.compute import ComputeSettings, resolve_compute

HAS_GPU = torch.cuda.is_available() or torch.backends.mps.is_available()


def test_the_cpu_computes_in_float32_unless_told_otherwise() -> None:
    compute = resolve_compute(ComputeSettings(device="cpu"))
    assert (compute.device.type, compute.dtype) == ("cpu", torch.float32)
    told = resolve_compute(ComputeSettings(device="cpu", dtype="bfloat16"))
    assert told.dtype == torch.bfloat16


@pytest.mark.skipif(HAS_GPU, reason="this machine has a GPU")
def test_auto_takes_the_cpu_where_nothing_else_is() -> None:
    assert resolve_compute(ComputeSettings()).device.type == "cpu"


@pytest.mark.skipif(HAS_GPU, reason="this machine has a GPU")
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(DeviceError, match=f"'{device}' was asked for.*has only: cpu"):
        resolve_compute(ComputeSettings(device=device))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        ComputeSettings(device="cpu", dtype="float16"),
        ComputeSettings(device="cpu", memory_budget_gib=4.0),
    ],
)
def test_what_the_cpu_cannot_do_is_refused(settings: ComputeSettings) -> None:
    with pytest.raises(DeviceError, match="CPU"):
        resolve_compute(settings)


def test_an_impossible_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_budget_gib"):
        ComputeSettings(memory_budget_gib=0.0)
