"""The device: the one that is there, or an error; never quietly another."""

import pytest
import torch

from styledag.errors import DeviceError
from styledag.models.compute import ComputeSettings, resolve_compute
from styledag.training.estimating.free_memory import free_bytes

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
        ComputeSettings(device="cpu", channels_last=True),
    ],
)
def test_what_the_cpu_cannot_do_is_refused(settings: ComputeSettings) -> None:
    with pytest.raises(DeviceError, match="CPU"):
        resolve_compute(settings)


def test_an_impossible_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_budget_gib"):
        ComputeSettings(memory_budget_gib=0.0)


def test_compiling_is_decided_by_the_training_on_cuda_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert resolve_compute(ComputeSettings(device="cpu")).compile is False
    assert resolve_compute(ComputeSettings(device="cpu", compile="on")).compile is True
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert resolve_compute(ComputeSettings(device="cuda")).compile is None
    assert resolve_compute(ComputeSettings(device="cuda", compile="off")).compile is False


def test_a_device_has_its_index_where_torch_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert resolve_compute(ComputeSettings(device="cuda")).device == torch.device("cuda", 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_compute(ComputeSettings(device="mps")).device == torch.device("mps", 0)


def test_free_memory_is_asked_as_torch_accepts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the calls into the driver are replaced, so torch's own checks of the device run."""
    gib = 1 << 30
    cuda = {
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "mem_get_info": lambda _: (6 * gib, 16 * gib),
        "memory_reserved": lambda _: 3 * gib,
        "memory_allocated": lambda _: 2 * gib,
    }
    for name, function in cuda.items():
        monkeypatch.setattr(torch.cuda, name, function)
    monkeypatch.setattr("torch.cuda.memory._lazy_init", lambda: None)
    monkeypatch.setattr(torch._C, "_cuda_getMemoryFraction", lambda _: 0.5, raising=False)
    device = resolve_compute(ComputeSettings(device="cuda")).device
    assert free_bytes(device) == 6 * gib
