import pytest
import torch

from styledag.merging.method import Parents
from styledag.merging.methods.lerp import Lerp, lerp, merge_lerp
from styledag_tests.merging.methods.tensors import BASE, ONE, parents


def test_a_blend_worked_by_hand() -> None:
    base, tuned = torch.tensor([0.0, 1.0, -4.0]), torch.tensor([1.0, 3.0, 4.0])
    assert lerp(base, tuned, 0.25).tolist() == [0.25, 1.5, -2.0]


def test_it_is_mergekits_and_sd_mechas() -> None:
    # tools/merge_references.py. mergekit 0.1.5: linear with weights 0.7 of the base and 0.3;
    # sd-mecha 1.1.8: weighted_sum with alpha 0.3.
    expected = [0.62, -1.15, 1.7, 0.25, -0.735, 1.41]
    assert lerp(BASE, ONE, 0.3).tolist() == pytest.approx(expected, abs=1e-6)
    # mergekit 0.1.5: linear with weights 0.3 of the base, 0.2 and 0.5.
    expected = [0.38, -1.6, 2.05, 0.75, -0.64, 1.54]
    assert merge_lerp(parents(0.2, 0.5), Lerp()).tolist() == pytest.approx(expected, abs=1e-6)


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


def merged(base: torch.Tensor, tuned: list[torch.Tensor], weights: list[float]) -> torch.Tensor:
    return merge_lerp(Parents("x", base, tuned, weights), Lerp())


def test_of_several_the_weighted_differences_are_added() -> None:
    base = torch.tensor([0.0, 1.0, -4.0])
    tuned = [torch.tensor([1.0, 3.0, 4.0]), torch.tensor([2.0, -1.0, 0.0])]
    assert merged(base, tuned, [0.25, 0.5]).tolist() == [1.25, 0.5, 0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_several_halves_are_summed_in_float32_and_rounded_once(dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(2)
    base, *tuned = (torch.rand(500, generator=random).to(dtype) for _ in range(3))
    exact = base.double()
    for each, weight in zip(tuned, (0.3, 0.6), strict=True):
        exact = exact + weight * (each.double() - base.double())
    found = merged(base, tuned, [0.3, 0.6])
    assert found.dtype == dtype
    # The sum in float32 may lie on the other side of the middle between two halves.
    assert (found != exact.to(dtype)).float().mean() < 0.01


def test_a_weight_of_one_beside_zeros_gives_back_that_fine_tune_bit_for_bit() -> None:
    random = torch.Generator().manual_seed(3)
    base, *tuned = (1e4 * torch.randn(500, generator=random) for _ in range(3))
    assert torch.equal(merged(base, tuned, [0.0, 1.0]), tuned[1])
    assert torch.equal(merged(base, tuned, [0.0, 0.0]), base)
