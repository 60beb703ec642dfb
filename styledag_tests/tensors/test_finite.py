"""NaN and infinity are found wherever they are, and in nothing else."""

import pytest
import torch

from styledag.tensors.finite import is_finite


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_it_agrees_with_torch_on_each_kind_of_value(dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    tensor = torch.tensor([0.0, -0.0, largest, -largest, torch.finfo(dtype).tiny], dtype=dtype)
    assert is_finite(tensor)
    for bad in (float("nan"), -float("nan"), float("inf"), -float("inf")):
        for place in range(len(tensor)):
            damaged = tensor.clone()
            damaged[place] = bad
            assert not is_finite(damaged)
            assert not is_finite(damaged.reshape(1, -1).T)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_agrees_with_torch_on_every_half(dtype: torch.dtype) -> None:
    every = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(dtype)
    expected = every.isfinite().tolist()
    assert [is_finite(each) for each in every.split(1)] == expected


def test_integers_and_nothing_are_finite() -> None:
    assert is_finite(torch.arange(3))
    assert is_finite(torch.empty(0))
