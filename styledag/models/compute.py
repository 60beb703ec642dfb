"""The device, dtype and memory that computing stages run with."""

import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from styledag.errors import DeviceError
from styledag.models.triton import use_torch_kernels, why_no_kernels
from styledag.settings import StrictSettings, setting

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
_GIB = 1 << 30
_NVIDIA_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/usr/lib/wsl/lib/libcuda.so.1"))
"""Files that are there with a driver: on Linux, and in Windows' subsystem for it."""


@dataclass(frozen=True, kw_only=True)
class ComputeSettings(StrictSettings):
    """What a machine shall compute with."""

    device: Literal["auto", "cuda", "mps", "cpu"] = setting(
        "auto", help="Device; auto takes CUDA, else MPS, else the CPU."
    )
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = setting(
        "auto",
        help="Dtype of inference and of training's passes; auto is bfloat16 on CUDA devices that "
        "have it (from compute capability 8.0), else float32.",
    )
    compile: Literal["auto", "on", "off"] = setting(
        "auto",
        help="Compile the denoiser's repeated blocks with torch.compile; auto does on CUDA where "
        "there is so much to train or to draw that it pays.",
    )
    channels_last: bool | None = setting(
        None, help="Keep channels innermost in memory; done on CUDA and nowhere else if left out."
    )
    deterministic: bool = setting(
        False, help="Allow only kernels that give the same bits again on the same GPU; slower."
    )
    memory_budget_gib: float | None = setting(
        None, gt=0, help="Most device memory that one process may take; CUDA and MPS only."
    )


@dataclass(frozen=True)
class Compute:
    """A device that is really there.

    Attributes:
        device: Where tensors go; on CUDA and MPS with its index, which torch's memory functions
            demand and which tensors on it state.
        dtype: Dtype of inference, and of the passes in training.
        compile: Whether the denoiser's repeated blocks are compiled; ``None`` if that depends on
            how much is trained or drawn.
        channels_last: Whether the UNet in training keeps its channels innermost in memory.
        deterministic: Whether training may use deterministic kernels only.
    """

    device: "torch.device"
    dtype: "torch.dtype"
    compile: bool | None = False
    channels_last: bool = False
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.device.type != "cpu" and self.device.index is None:
            raise ValueError(f"{self.device} has no index: take it from resolve_device")


def resolve_compute(settings: ComputeSettings) -> Compute:
    """Return the device and dtype that the settings ask for.

    Raises:
        DeviceError: If the device isn't there or doesn't compute, or cannot do the dtype or the
            budget.
    """
    import torch

    if settings.deterministic:
        use_deterministic_cublas()
    device = resolve_device(settings.device)
    if device.type == "cuda":
        check_cuda(device)
    elif settings.device == "auto" and (why := why_no_cuda()):
        log.warning("%s", why)
    if settings.dtype == "auto":
        is_fast = device.type == "cuda" and has_bfloat16(device)
        dtype = torch.bfloat16 if is_fast else torch.float32
    else:
        dtype = getattr(torch, settings.dtype)
    if device.type == "cpu" and dtype == torch.float16:
        raise DeviceError("the CPU has no fast float16: set dtype to float32 or bfloat16")
    if dtype == torch.bfloat16 and not has_bfloat16(device):
        raise DeviceError(f"{device_name(device)} has no bfloat16: set dtype to float32")
    if device.type == "cpu" and settings.channels_last:
        # Its GroupNorm has no backward pass without the gradient of its input: a segmentation fault
        # in torch 2.13, wherever the blocks before are not trained.
        raise DeviceError("training with channels_last crashes on the CPU: leave it out")
    if settings.memory_budget_gib is not None:
        _limit_memory(device, settings.memory_budget_gib)
    channels_last = settings.channels_last
    return Compute(
        device,
        dtype,
        compile=_compile(settings, device),
        channels_last=device.type == "cuda" if channels_last is None else channels_last,
        deterministic=settings.deterministic,
    )


def use_deterministic_cublas() -> None:
    """Have cuBLAS give the same bits again, by its only switch: the process's environment.

    torch reads it at its first matrix product in the process, whatever that product is for, and
    later refuses deterministic ones if it was not set then.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # the larger of its two choices


def _compile(settings: ComputeSettings, device: "torch.device") -> bool | None:
    if device.type == "cuda":
        why = why_no_kernels()
        if why:
            use_torch_kernels()
        if why and settings.compile == "on":
            raise DeviceError(f"compile is on, but {why}, or set compile to auto")
        if settings.compile == "auto":
            return False if why else None
    return settings.compile == "on"


def has_bfloat16(device: "torch.device") -> bool:
    """Return whether a device computes in bfloat16 by itself: CUDA from compute capability 8.0.

    Older ones emulate it, many times slower, and not in all kernels. MPS does from macOS 14.
    """
    import torch

    if device.type == "mps":
        return torch.backends.mps.is_macos_or_newer(14, 0)
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def device_name(device: "torch.device") -> str:
    """Return a device's name with its compute capability, for a message."""
    import torch

    if device.type != "cuda":
        return str(device)
    found = torch.cuda.get_device_properties(device)
    return f"{found.name} (compute capability {found.major}.{found.minor})"


def resolve_device(name: str) -> "torch.device":
    """Return a device with its index, which torch's memory functions demand.

    Args:
        name: ``auto``, ``cuda``, ``mps`` or ``cpu``.

    Raises:
        DeviceError: If the device isn't there.
    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(each for each in ("cuda", "mps", "cpu") if available[each])
    if not available[name]:
        there = ", ".join(each for each, is_there in available.items() if is_there)
        raise DeviceError(f"device {name!r} was asked for, but this machine has only: {there}")
    match name:
        case "cuda":
            return torch.device("cuda", torch.cuda.current_device())
        case "mps":
            return torch.device("mps", 0)
        case _:
            return torch.device(name)


def check_cuda(device: "torch.device") -> None:
    """Compute one number on a CUDA device, as drivers and builds of torch may not fit it.

    Raises:
        DeviceError: If it fails.
    """
    import torch

    try:
        torch.ones(1, device=device).add_(1).item()
    except RuntimeError as exc:
        first_line = str(exc).splitlines()[0]
        if isinstance(exc, torch.OutOfMemoryError) or "out of memory" in first_line:
            raise DeviceError(
                f"{device_name(device)} has no memory left ({first_line}): end other programs "
                "that use it, or name the device cpu"
            ) from exc
        built_for = " ".join(torch.cuda.get_arch_list())
        raise DeviceError(
            f"{device_name(device)} does not compute ({first_line}): torch "
            f"{torch.__version__} is built for {_platform()} and {built_for}; install "
            "a build of torch for this device and its driver, or name the device cpu"
        ) from exc


def _platform() -> str:
    """Return what torch calls CUDA: NVIDIA's, or AMD's ROCm under the same name."""
    import torch

    return f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"


@cache
def why_no_cuda() -> str:
    """Return why torch does not see the NVIDIA GPU that the machine has; empty if it has none."""
    import torch

    if torch.cuda.is_available() or not any(each.exists() for each in _NVIDIA_DRIVERS):
        return ""
    if torch.version.cuda is None:
        why = "is built without CUDA: install a build with it"
    else:
        why = (
            f"finds none for its CUDA {torch.version.cuda}: the driver may be too old, or "
            "CUDA_VISIBLE_DEVICES hides it"
        )
    return f"this machine has an NVIDIA GPU, but torch {torch.__version__} {why}"


def _limit_memory(device: "torch.device", budget_gib: float) -> None:
    import torch

    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, budget_gib * _GIB / total), device)
    elif device.type == "mps":
        total = torch.mps.recommended_max_memory()
        torch.mps.set_per_process_memory_fraction(min(2.0, budget_gib * _GIB / total))
    else:
        raise DeviceError("a memory budget cannot be enforced on the CPU: leave it out")
