import sys
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from styledag.errors import TrainingError
from styledag.training.optimizers import Optimizer
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
    recipe = Recipe(weight_decay=0.1, adam_beta2=0.95)
    ours, theirs = parameters(), parameters()
    run(Optimizer(ours, recipe), ours, 0, 1, 2)
    reference = torch.optim.AdamW(
        theirs.values(), lr=RATE, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, foreach=False
    )
    for step in range(3):
        gradients(theirs, step)
        reference.step()
    for name, each in ours.items():
        torch.testing.assert_close(each, theirs[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_block_takes_its_share_of_the_rate(name: str) -> None:
    def moved(share: float) -> dict[str, float]:
        recipe = Recipe(optimizer=name, weight_decay=0.0)  # type: ignore[arg-type]
        weights = {
            f"up_blocks.{at}.{key}": each for at in "01" for key, each in parameters().items()
        }
        before = {key: each.detach().clone() for key, each in weights.items()}
        shares = {key: share if key.startswith("up_blocks.0.") else 1.0 for key in weights}
        run(Optimizer(weights, recipe, rate_shares=shares), weights, 0, 1, 2)
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
    recipe = Recipe(optimizer=name)  # type: ignore[arg-type]
    whole = parameters(dtype)
    run(Optimizer(whole, recipe), whole, 0, 1, 2, 3)
    cut = parameters(dtype)
    first = Optimizer(cut, recipe)
    run(first, cut, 0, 1)
    state = {key: value.clone() for key, value in first.tensors().items()}
    second = Optimizer(cut, recipe)
    second.restore(state)
    run(second, cut, 2, 3)
    assert all(torch.equal(each, whole[key]) for key, each in cut.items())
    assert all(each.dtype == dtype for each in cut.values())


@BITSANDBYTES
def test_eight_bit_moments_take_a_quarter_of_the_bytes() -> None:
    sizes = {}
    for name in ("adamw", "adamw_8bit"):
        weights = {"matrix": nn.Parameter(torch.randn(1024, 1024))}
        optimizer = Optimizer(weights, Recipe(optimizer=name))  # type: ignore[arg-type]
        run(optimizer, weights, 0)
        sizes[name] = sum(each.nbytes for each in optimizer.tensors().values())
    assert sizes["adamw_8bit"] < 0.27 * sizes["adamw"]


def test_steps_below_one_rounding_are_not_lost_on_bfloat16_weights() -> None:
    weights = {"one": nn.Parameter(torch.ones(4096, dtype=torch.bfloat16))}
    recipe = Recipe(weight_decay=0.0)
    optimizer = Optimizer(weights, recipe)
    steps, rate = 50, 1e-4  # The next number below 1 is 2 ** -8 = 0.0039 away.
    for step in range(steps):
        weights["one"].grad = torch.ones(4096, dtype=torch.bfloat16)
        optimizer.step(rate, step=step)
    moved = 1 - float(weights["one"].detach().float().mean())
    assert moved == pytest.approx(steps * rate, rel=0.05)


def test_optimiser_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(TrainingError, match=r"pip install 'styledag\[adam8bit\]'"):
        Optimizer(parameters(), Recipe(optimizer="adamw_8bit"))
