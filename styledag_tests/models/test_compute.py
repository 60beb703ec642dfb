"""The device: the one that is there, or an error; never quietly another."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from styledag.errors import DeviceError, TrainingError
from styledag.models import compute
from styledag.models.compute import ComputeSettings, resolve_compute
from styledag.training.estimating.free_memory import free_bytes
from styledag.training.recipe import Recipe
from styledag.training.weights.pass_dtype import in_pass_dtype


def pretend_cuda(
    monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int], index: int = 0
) -> None:
    """Answer what is asked of the driver; torch's own functions run."""
    major, minor = capability
    properties = SimpleNamespace(name=name, major=major, minor=minor)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: index)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: properties)
    monkeypatch.setattr(compute, "check_cuda", lambda _device: None)


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
    pretend_cuda(monkeypatch, "H100", (9, 0))
    monkeypatch.setattr(compute, "why_no_kernels", lambda: "")
    assert resolve_compute(ComputeSettings(device="cuda")).compile is None
    assert resolve_compute(ComputeSettings(device="cuda", compile="off")).compile is False


def test_without_a_compiler_nothing_is_compiled_and_triton_is_not_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[bool] = []
    pretend_cuda(monkeypatch, "H100", (9, 0))
    monkeypatch.setattr(compute, "why_no_kernels", lambda: "there is no C compiler: install gcc")
    monkeypatch.setattr(compute, "use_torch_kernels", lambda: done.append(True))
    assert resolve_compute(ComputeSettings(device="cuda")).compile is False
    assert done == [True]
    with pytest.raises(DeviceError, match="compile is on, but there is no C compiler"):
        resolve_compute(ComputeSettings(device="cuda", compile="on"))


def test_a_device_without_bfloat16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, "Tesla T4", (7, 5))
    monkeypatch.setattr(compute, "why_no_kernels", lambda: "")
    found = resolve_compute(ComputeSettings(device="cuda"))
    assert found.dtype == torch.float32
    with pytest.raises(DeviceError, match=r"Tesla T4 \(compute capability 7.5\) has no bfloat16"):
        resolve_compute(ComputeSettings(device="cuda", dtype="bfloat16"))
    assert in_pass_dtype(found, Recipe()).dtype == torch.float32
    with pytest.raises(
        TrainingError, match=r"weights are bfloat16, which Tesla T4 .*: set weights"
    ):
        in_pass_dtype(found, Recipe(weights="bfloat16"))
    pretend_cuda(monkeypatch, "A10", (8, 6))
    assert resolve_compute(ComputeSettings(device="cuda")).dtype == torch.bfloat16
    assert in_pass_dtype(found, Recipe(weights="bfloat16")).dtype == torch.bfloat16


@pytest.mark.parametrize("macos", [13, 14])
def test_bfloat16_is_refused_on_a_mac_that_is_too_old(
    macos: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mps = torch.backends.mps
    monkeypatch.setattr(mps, "is_available", lambda: True)
    monkeypatch.setattr(mps, "is_macos_or_newer", lambda major, _minor: macos >= major)
    settings = ComputeSettings(device="mps", dtype="bfloat16")
    if macos > 13:
        assert resolve_compute(settings).dtype == torch.bfloat16
        return
    with pytest.raises(DeviceError, match="mps:0 has no bfloat16: set dtype to float32"):
        resolve_compute(settings)


def test_a_device_that_does_not_compute_is_refused_with_what_torch_is_built_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check = compute.check_cuda
    pretend_cuda(monkeypatch, "Tesla V100", (7, 0))

    def no_kernel(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution\nmore")

    monkeypatch.setattr(torch, "ones", no_kernel)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])
    with pytest.raises(DeviceError) as refused:
        check(torch.device("cuda", 0))
    told = str(refused.value)
    assert told.startswith("Tesla V100 (compute capability 7.0) does not compute (CUDA error: no k")
    assert "sm_75 sm_80; install a build" in told
    assert "more" not in told


def test_a_device_whose_memory_others_have_is_not_called_unfit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check = compute.check_cuda
    pretend_cuda(monkeypatch, "RTX 3060", (8, 6))

    def no_memory(*_args: object, **_kwargs: object) -> None:
        raise torch.AcceleratorError("CUDA error: out of memory\nSearch for it")

    monkeypatch.setattr(torch, "ones", no_memory)
    told = r"^RTX 3060 .* has no memory left \(CUDA error: out of memory\): end other programs"
    with pytest.raises(DeviceError, match=told):
        check(torch.device("cuda", 0))


def test_a_build_for_amd_is_named_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    check = compute.check_cuda
    pretend_cuda(monkeypatch, "AMD Instinct MI300X", (9, 4))

    def no_kernel(*_args: object, **_kwargs: object) -> None:
        raise torch.AcceleratorError("HIP error: invalid device function")

    monkeypatch.setattr(torch, "ones", no_kernel)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["gfx90a"])
    monkeypatch.setattr(torch.version, "hip", "7.1")
    with pytest.raises(DeviceError, match=r"is built for ROCm 7\.1 and gfx90a"):
        check(torch.device("cuda", 0))


def test_cublas_is_told_to_be_deterministic_before_anything_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = []
    pretend_cuda(monkeypatch, "H100", (9, 0))
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(
        compute, "check_cuda", lambda _: told.append(os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
    )
    monkeypatch.setattr(compute, "why_no_kernels", lambda: "")
    resolve_compute(ComputeSettings(device="cuda"))
    resolve_compute(ComputeSettings(device="cuda", deterministic=True))
    assert told == [None, ":4096:8"]


@pytest.mark.skipif(HAS_GPU, reason="this machine has a GPU")
@pytest.mark.parametrize(("cuda", "why"), [(None, "built without CUDA"), ("13.0", "too old")])
def test_a_gpu_that_torch_does_not_see_is_not_passed_over_in_silence(
    cuda: str | None,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    compute.why_no_cuda.cache_clear()
    assert resolve_compute(ComputeSettings()).device.type == "cpu"
    assert not caplog.records
    compute.why_no_cuda.cache_clear()
    (tmp_path / "libcuda.so.1").touch()
    drivers = (tmp_path / "version", tmp_path / "libcuda.so.1")
    monkeypatch.setattr(compute, "_NVIDIA_DRIVERS", drivers)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert resolve_compute(ComputeSettings()).device.type == "cpu"
    assert why in caplog.text
    caplog.clear()
    resolve_compute(ComputeSettings(device="cpu"))
    assert not caplog.records
    compute.why_no_cuda.cache_clear()


def test_a_device_has_its_index_where_torch_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, "H100", (9, 0), index=1)
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
    pretend_cuda(monkeypatch, "RTX 4080", (8, 9))
    for name, function in cuda.items():
        monkeypatch.setattr(torch.cuda, name, function)
    monkeypatch.setattr("torch.cuda.memory._lazy_init", lambda: None)
    monkeypatch.setattr(torch._C, "_cuda_getMemoryFraction", lambda _: 0.5, raising=False)
    device = resolve_compute(ComputeSettings(device="cuda")).device
    assert free_bytes(device) == 6 * gib
