"""Errors of the device that training runs on, as sentences that name what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from styledag.bases.compiled import compiler_error
from styledag.errors import DeviceError, TrainingError
from styledag.training.recipe import Recipe

_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
_FAILED = (
    *("CUDA error", "CUDNN_STATUS_", "CUBLAS_STATUS_", "NCCL error"),
    *("HIP error", "HIPBLAS_STATUS_", "miopenStatus"),
)
"""What the libraries of NVIDIA's GPUs say, and those of AMD's."""


@contextmanager
def device_errors(device: torch.device, *, needs_less: str) -> Iterator[None]:
    """Replace errors of a device, its allocator and its libraries while the block runs.

    Args:
        device: Where the block computes.
        needs_less: What would need less memory.

    Raises:
        TrainingError: If memory runs out.
        DeviceError: If the device fails in any other way.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as exc:
        if isinstance(exc, MemoryError | torch.OutOfMemoryError) or _names(exc, _OUT_OF_MEMORY):
            raise TrainingError(f"training ran out of memory ({needs_less}): {exc}") from exc
        if isinstance(exc, torch._dynamo.exc.BackendCompilerFailed):
            raise compiler_error(exc) from exc
        if isinstance(exc, torch.AcceleratorError) or _names(exc, _FAILED):
            raise DeviceError(
                f"{device} failed ({_first_line(exc)}): no more can be computed on it in "
                "this process; run again, which resumes from the newest state, and if it fails "
                "there too, look for the device in the system's log"
            ) from exc
        raise


def lower_settings(recipe: Recipe) -> str:
    """Return which of a recipe's settings would need less memory, the lossless ones first."""
    ways = []
    if not recipe.gradient_checkpointing:
        ways.append("set gradient_checkpointing to true, for the same result")
    if recipe.batch_size > 1:
        ways.append(
            f"lower batch_size from {recipe.batch_size} and raise gradient_accumulation from "
            f"{recipe.gradient_accumulation} as much, for the same result"
        )
    if recipe.ema.mode != "none" and not recipe.ema_on_cpu:
        ways.append("set ema_on_cpu to true")
    if recipe.optimizer == "adamw":
        ways.append("set optimizer to 'adamw_8bit' or 'adafactor'")
    if recipe.trained == "unet":
        ways.append("train only 'attention' or 'cross_attention'")
    return "; or ".join(ways) or "a smaller base or a larger device is needed"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _names(error: BaseException, words: tuple[str, ...]) -> bool:
    return any(each in str(error) for each in words)
