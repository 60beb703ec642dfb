import pytest
import torch

from styledag.merging.methods.lerp import lerp


def test_a_blend_worked_by_hand() -> None:
    base, tuned = torch.tensor([0.0, 1.0, -4.0]), torch.tensor([1.0, 3.0, 4.0])
    assert lerp(base, tuned, 0.25).tolist() == [0.25, 1.5, -2.0]


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize(
    ("base_dtype", "tuned_dtype"),
    [
        (torch.float32, torch.float32),
        (torch.float16, torch.float16),
        (torch.float32, torch.float16),
        (torch.bfloat16, torch.float16),
    ],
)
def test_the_ends_give_back_the_parents(
    weight: float, base_dtype: torch.dtype, tuned_dtype: torch.dtype
) -> None:
    random = torch.Generator().manual_seed(0)
    base = torch.randn(1000, generator=random).to(base_dtype)
    tuned = (1e4 * torch.randn(1000, generator=random)).to(tuned_dtype)
    expected = (base, tuned)[int(weight)]
    blended = lerp(base, tuned, weight)
    assert blended.dtype == torch.promote_types(base_dtype, tuned_dtype)
    assert torch.equal(blended, expected.to(blended.dtype))


def test_half_precision_is_rounded_once() -> None:
    random = torch.Generator().manual_seed(1)
    base, tuned = (torch.rand(500, generator=random).half() for _ in range(2))
    exact = base.double() + 0.3 * (tuned.double() - base.double())
    assert torch.equal(lerp(base, tuned, 0.3), exact.half())


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_ends_keep_the_sign_of_zero(weight: float) -> None:
    parents = torch.tensor([-0.0, 1.0]), torch.tensor([1.0, -0.0])
    blended = lerp(*parents, weight)
    assert torch.equal(blended.signbit(), parents[int(weight)].signbit())
