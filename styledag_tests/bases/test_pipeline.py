import pytest
import torch

from styledag.bases.pipeline import dtype_named
from styledag.errors import StyledagError


@pytest.mark.parametrize("written", ["float16", "fp16", torch.float16, "torch.float16"])
def test_a_dtype_is_named_as_people_write_it(written: object) -> None:
    assert dtype_named(written) == "float16"  # type: ignore[arg-type]


@pytest.mark.parametrize("written", [torch.int8, "half", "auto", None])
def test_another_dtype_is_refused_by_name(written: object) -> None:
    with pytest.raises(StyledagError, match=r"dtype is .*float32, float16, bfloat16"):
        dtype_named(written)  # type: ignore[arg-type]
