import sys
from importlib.util import find_spec

import pytest
import torch
from torch import nn
from transformers.optimization import Adafactor

from styledag.errors import TrainingError
from styledag.training.optimising.optimizers import (
    Optimizer,
    OptimizerSettings,
    stochastically_rounded,
)
from styledag.training.recipe import Recipe

BITSANDBYTES = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="needs bitsandbytes")
NAMES = ("adamw", pytest.param("adamw_8bit", marks=BITSANDBYTES), "adafactor")
RATE = 1e-2


def parameters(dtype: torch.dtype = torch.float32) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"matrix": (128, 64), "vector": (64,)}
    return {
        name: nn.Parameter(torch.randn(shape, generator=generator).to(dtype))
        for name, shape in shapes.items()
    }


def gradients(weights: dict[str, nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for each in weights.values():
        each.grad = torch.randn(each.shape, generator=generator).to(each.dtype)


def run(optimizer: Optimizer, weights: dict[str, nn.Parameter], *steps: int) -> None:
    for step in steps:
        gradients(weights, step)
        optimizer.step(RATE, step=step)
        optimizer.zero_grad()


def test_adamw_is_torchs_own() -> None:
    settings = OptimizerSettings(weight_decay=0.1, betas=(0.9, 0.95))
    ours, theirs = parameters(), parameters()
    run(Optimizer(ours, settings), ours, 0, 1, 2)
    reference = torch.optim.AdamW(
        theirs.values(), lr=RATE, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, foreach=False
    )
    for step in range(3):
        gradients(theirs, step)
        reference.step()
    for name, each in ours.items():
        torch.testing.assert_close(each, theirs[name])


@pytest.mark.parametrize("gradient", [1.0, 1e-3, 1e-6])
def test_adafactor_steps_by_the_learning_rate_as_trainers_set_it(gradient: float) -> None:
    # kohya's scripts, OneTrainer and diffusers' examples switch the scaling by a weight's own size
    # off, without which a low-rank adapter, whose second matrix begins at 0, hardly learns.
    def weights() -> dict[str, nn.Parameter]:
        generator = torch.Generator().manual_seed(0)
        shapes = {"matrix": (128, 64), "vector": (64,), "convolution": (8, 4, 3, 3)}
        drawn = {name: 0.03 * torch.randn(s, generator=generator) for name, s in shapes.items()}
        return {
            name: nn.Parameter(each)
            for name, each in {**drawn, "second": torch.zeros(64, 16)}.items()
        }

    ours, theirs, before = weights(), weights(), weights()
    optimizer = Optimizer(ours, OptimizerSettings(kind="adafactor"))
    reference = Adafactor(
        theirs.values(),
        lr=1e-4,
        weight_decay=1e-2,
        scale_parameter=False,
        relative_step=False,
        warmup_init=False,
    )
    for step in range(5):
        for each in (ours, theirs):
            gradients(each, step)
            for parameter in each.values():
                assert parameter.grad is not None
                parameter.grad *= gradient
        optimizer.step(1e-4, step=step)
        reference.step()
    for name, each in ours.items():
        moved = (theirs[name] - before[name]).detach().norm()
        assert (each - theirs[name]).detach().norm() < 1e-3 * moved, name


@pytest.mark.parametrize("name", NAMES)
def test_a_block_takes_its_share_of_the_rate(name: str) -> None:
    def moved(share: float) -> dict[str, float]:
        settings = OptimizerSettings(kind=name, weight_decay=0.0)  # type: ignore[arg-type]
        weights = {
            f"up_blocks.{at}.{key}": each for at in "01" for key, each in parameters().items()
        }
        before = {key: each.detach().clone() for key, each in weights.items()}
        shares = {key: share if key.startswith("up_blocks.0.") else 1.0 for key in weights}
        run(Optimizer(weights, settings, rate_shares=shares), weights, 0, 1, 2)
        return {key: float((each.detach() - before[key]).norm()) for key, each in weights.items()}

    alike, slower = moved(1.0), moved(0.25)
    for key, length in slower.items():
        wanted = 0.25 if key.startswith("up_blocks.0.") else 1.0
        assert length == pytest.approx(wanted * alike[key], rel=1e-3), key


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"up.0": 0.0}, r"block_rates\['up.0'\] is 0.0, but must be above 0"),
        ({"up.0": 11}, "at most 10"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused(rates: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Recipe(block_rates=rates)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_goes_on_from_its_state_as_if_nothing_had_been(
    name: str, dtype: torch.dtype
) -> None:
    settings = OptimizerSettings(kind=name)  # type: ignore[arg-type]
    whole = parameters(dtype)
    run(Optimizer(whole, settings), whole, 0, 1, 2, 3)
    cut = parameters(dtype)
    first = Optimizer(cut, settings)
    run(first, cut, 0, 1)
    state = {key: value.clone() for key, value in first.tensors().items()}
    second = Optimizer(cut, settings)
    second.restore(state)
    run(second, cut, 2, 3)
    assert all(torch.equal(each, whole[key]) for key, each in cut.items())
    assert all(each.dtype == dtype for each in cut.values())


@pytest.mark.parametrize("name", NAMES)
def test_moments_are_restored_in_their_parameters_layout(name: str) -> None:
    settings = OptimizerSettings(kind=name)  # type: ignore[arg-type]

    def convolution() -> dict[str, nn.Parameter]:
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(8, 4, 3, 3, generator=generator)
        return {"conv": nn.Parameter(weight.to(memory_format=torch.channels_last))}

    whole, cut = convolution(), convolution()
    run(Optimizer(whole, settings), whole, 0, 1, 2, 3)
    first = Optimizer(cut, settings)
    run(first, cut, 0, 1)
    # As safetensors stores them: the innermost dimension last.
    state = {
        key: value.clone(memory_format=torch.contiguous_format)
        for key, value in first.tensors().items()
    }
    second = Optimizer(cut, settings)
    second.restore(state)
    run(second, cut, 2, 3)
    assert torch.equal(cut["conv"], whole["conv"])


@BITSANDBYTES
def test_eight_bit_moments_take_a_quarter_of_the_bytes() -> None:
    sizes = {}
    for name in ("adamw", "adamw_8bit"):
        weights = {"matrix": nn.Parameter(torch.randn(1024, 1024))}
        optimizer = Optimizer(weights, OptimizerSettings(kind=name))  # type: ignore[arg-type]
        run(optimizer, weights, 0)
        sizes[name] = sum(each.nbytes for each in optimizer.tensors().values())
    assert sizes["adamw_8bit"] < 0.27 * sizes["adamw"]


def test_steps_below_one_rounding_are_not_lost_on_bfloat16_weights() -> None:
    weights = {"one": nn.Parameter(torch.ones(4096, dtype=torch.bfloat16))}
    optimizer = Optimizer(weights, OptimizerSettings(weight_decay=0.0))
    steps, rate = 50, 1e-4  # The next number below 1 is 2 ** -8 = 0.0039 away.
    for step in range(steps):
        weights["one"].grad = torch.ones(4096, dtype=torch.bfloat16)
        optimizer.step(rate, step=step)
    moved = 1 - float(weights["one"].detach().float().mean())
    assert moved == pytest.approx(steps * rate, rel=0.05)


def test_optimiser_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(TrainingError, match=r"pip install 'styledag\[adam8bit\]'"):
        Optimizer(parameters(), OptimizerSettings(kind="adamw_8bit"))


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
