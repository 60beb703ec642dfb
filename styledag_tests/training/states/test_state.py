"""States to resume from, as they are written."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from styledag.training.states.state import TrainingState, TrainingStates


def state_of(tensors: dict[str, Tensor]) -> TrainingState:
    return TrainingState(identity="run", step=3, log=(), snapshots=(), tensors=tensors)


def test_tensors_of_any_dtype_and_order_in_memory_come_back(tmp_path: Path) -> None:
    values = torch.randn(4, 3, 2, 2)
    tensors = {
        "channels_last": values.to(memory_format=torch.channels_last),
        "half": values.to(torch.bfloat16),
        "bytes": (values.abs() * 50).to(torch.uint8),
        "step": torch.tensor(7.0),
        "count": torch.tensor(7),
        "turned": values.transpose(0, 1),
        "trained": values.clone().requires_grad_(),
    }
    states = TrainingStates(tmp_path / "state")
    states.save(state_of(tensors))
    loaded = states.load("run")
    assert loaded is not None
    assert loaded.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name], tensor), name


@pytest.mark.gpu
def test_writing_takes_no_memory_of_the_device(tmp_path: Path) -> None:
    device = torch.device("cuda", 0)
    tensors = {
        str(number): torch.randn(64, 64, 3, 3, device=device).to(memory_format=torch.channels_last)
        for number in range(3)
    }
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    TrainingStates(tmp_path / "state").save(state_of(tensors))
    assert torch.cuda.max_memory_allocated(device) == before
