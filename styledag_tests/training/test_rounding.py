import torch

from styledag.training.rounding import stochastically_rounded


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_numbers_that_bfloat16_has_stay_as_they_are() -> None:
    exact = torch.randn(1000, generator=generator()).bfloat16().float()
    exact[:3] = torch.tensor([0.0, float("inf"), -float("inf")])
    assert torch.equal(stochastically_rounded(exact, generator(1)).float(), exact)


def test_other_numbers_become_one_of_their_two_neighbours_as_often_as_they_are_near() -> None:
    value = 1 + 0.25 * 2**-7  # A quarter of the way from 1 to the next number.
    rounded = stochastically_rounded(torch.full((100_000,), value), generator()).float()
    assert set(rounded.tolist()) == {1.0, 1 + 2**-7}
    assert abs(float((rounded > 1).float().mean()) - 0.25) < 0.01
    negative = stochastically_rounded(torch.full((100_000,), -value), generator()).float()
    assert abs(float(negative.mean()) + value) < 1e-4


def test_rounding_follows_from_the_generator_and_keeps_the_layout() -> None:
    values = torch.randn(2, 8, 4, 4, generator=generator()).to(memory_format=torch.channels_last)
    once, again = (stochastically_rounded(values, generator(5)) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, stochastically_rounded(values, generator(6)))
    assert once.is_contiguous(memory_format=torch.channels_last)
