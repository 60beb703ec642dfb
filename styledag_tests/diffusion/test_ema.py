import math

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from styledag.diffusion.ema import Ema, base_share, ema_decay
from styledag.diffusion.recipe import EmaSettings


def parameters(seed: int = 0) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "weight": nn.Parameter(torch.randn(5, 3, generator=generator)),
        "bias": nn.Parameter(torch.randn(5, generator=generator)),
    }


def wander(trained: dict[str, nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(1000 + step)
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)


@pytest.mark.parametrize("limit", [None, 0.5])
def test_warmup_equals_diffusers_step_by_step(limit: float | None) -> None:
    trained = parameters()
    settings = EmaSettings(mode="warmup", decay=limit)
    ours = Ema(trained, settings, total_steps=300)
    theirs = EMAModel(trained.values(), decay=0.9999 if limit is None else limit)
    for step in range(1, 301):
        wander(trained, step)
        ours.update()
        theirs.step(trained.values())
        assert ema_decay(settings, step, total_steps=300) == theirs.get_decay(step)
        for average, shadow in zip(ours.averages.values(), theirs.shadow_params, strict=True):
            torch.testing.assert_close(average, shadow, rtol=1e-6, atol=1e-6)
    assert ours.base_share == 0


@pytest.mark.parametrize(
    "settings",
    [EmaSettings(mode="base", base_share=0.2), EmaSettings(mode="base", decay=0.99)],
    ids=["share", "decay"],
)
def test_base_equals_the_closed_form(settings: EmaSettings) -> None:
    total = 40
    trained = parameters()
    history = [{name: each.detach().double() for name, each in parameters().items()}]
    ema = Ema(trained, settings, total_steps=total)
    decay = 0.99 if settings.decay else 0.2 ** (1 / total)
    for step in range(1, total + 1):
        wander(trained, step)
        ema.update()
        history.append({name: each.detach().double() for name, each in trained.items()})
        assert math.isclose(ema.base_share, decay**step, rel_tol=1e-12)
    for name, average in ema.averages.items():
        expected = decay**total * history[0][name] + sum(
            (1 - decay) * decay ** (total - step) * history[step][name]
            for step in range(1, total + 1)
        )
        torch.testing.assert_close(average.double(), expected, rtol=1e-5, atol=1e-6)


def test_stated_share_of_the_base_is_left_at_the_end() -> None:
    settings = EmaSettings(mode="base", base_share=0.22)
    assert base_share(settings, 0, total_steps=15_000) == 1
    assert base_share(settings, 15_000, total_steps=15_000) == pytest.approx(0.22)


def test_pokemon_s_decay_leaves_the_published_shares() -> None:
    settings = EmaSettings(mode="base", decay=0.9999)
    assert base_share(settings, 15_000, total_steps=15_000) == pytest.approx(0.223, abs=1e-3)
    assert base_share(settings, 3_000, total_steps=15_000) == pytest.approx(0.741, abs=1e-3)


def test_without_an_average_the_trained_weights_are_kept() -> None:
    trained = parameters()
    ema = Ema(trained, EmaSettings(mode="none"), total_steps=3)
    assert ema.base_share == 1
    wander(trained, 1)
    ema.update()
    assert ema.base_share == 0
    for name, average in ema.averages.items():
        assert torch.equal(average, trained[name])


def test_average_is_lent_in_place_and_given_back() -> None:
    trained = parameters()
    ema = Ema(trained, EmaSettings(mode="base", decay=0.5), total_steps=3)
    wander(trained, 1)
    ema.update()
    raw = {name: each.detach().clone() for name, each in trained.items()}
    averages = {name: each.clone() for name, each in ema.averages.items()}
    with ema.in_place():
        assert all(torch.equal(trained[name], averages[name]) for name in trained)
    assert all(torch.equal(trained[name], raw[name]) for name in trained)
    assert all(torch.equal(ema.averages[name], averages[name]) for name in trained)


def test_averages_are_float32_even_of_bfloat16_weights() -> None:
    trained = {"w": nn.Parameter(torch.ones(3, dtype=torch.bfloat16))}
    ema = Ema(trained, EmaSettings(mode="base", decay=0.9999), total_steps=10)
    assert ema.averages["w"].dtype == torch.float32
