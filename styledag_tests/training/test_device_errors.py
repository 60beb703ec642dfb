import pytest
import torch

from styledag.errors import DeviceError, StyledagError, TrainingError
from styledag.training.device_errors import device_errors, lower_settings
from styledag.training.recipe import EmaSettings, Recipe

CUDA = torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), TrainingError, "ran out of memory"),
        (MemoryError(), TrainingError, "ran out of memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            TrainingError,
            "lower it",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
            TrainingError,
            "ran out of memory",
        ),
        (
            torch.AcceleratorError("CUDA error: an illegal memory access\nSearch for it in"),
            DeviceError,
            r"cuda:1 failed \(CUDA error: an illegal memory access\): .* run again",
        ),
        (
            RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
            DeviceError,
            "CUDNN_STATUS_EXECUTION_FAILED",
        ),
        (
            RuntimeError("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling hipblasCreate"),
            TrainingError,
            "ran out of memory",
        ),
        (RuntimeError("miopenStatusUnknownError"), DeviceError, "cuda:1 failed"),
        (RuntimeError("HIP error: unspecified launch failure"), DeviceError, "run again"),
        (torch.AcceleratorError(""), DeviceError, "AcceleratorError"),
    ],
)
def test_an_error_of_the_device_is_a_sentence(
    error: Exception, kind: type[StyledagError], words: str
) -> None:
    with pytest.raises(kind, match=words) as raised, device_errors(CUDA, needs_less="lower it"):
        raise error
    assert raised.value.__cause__ is error


def test_other_errors_stay_as_they_are() -> None:
    with (
        pytest.raises(RuntimeError, match="sizes must match"),
        device_errors(CUDA, needs_less="lower it"),
    ):
        raise RuntimeError("sizes must match")


def test_only_settings_that_are_still_high_are_named() -> None:
    assert "batch_size from 4 and raise gradient_accumulation from 1" in lower_settings(Recipe())
    lowest = Recipe(
        batch_size=1,
        gradient_checkpointing=True,
        ema=EmaSettings(mode="none"),
        optimizer="adafactor",
        trained="attention",
    )
    assert lower_settings(lowest) == "a smaller base or a larger device is needed"
