import math

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from styledag.training.averaging.ema import Ema, base_share, ema_decay
from styledag.training.averaging.posthoc import gamma_of
from styledag.training.recipe import EmaSettings


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


POWER = EmaSettings(mode="power", lengths=(0.05, 0.2))


def test_power_averages_weigh_each_step_by_a_power_of_it() -> None:
    total = 60
    trained = parameters()
    ema = Ema(trained, POWER, total_steps=total)
    history = []
    for step in range(1, total + 1):
        wander(trained, step)
        ema.update()
        history.append({name: each.detach().double() for name, each in trained.items()})
    assert ema.second is not None
    for averages, length in ((ema.averages, 0.05), (ema.second, 0.2)):
        power = gamma_of(length) + 1
        shares = [(step**power - (step - 1) ** power) / total**power for step in range(1, 61)]
        assert sum(shares) == pytest.approx(1)
        for name, average in averages.items():
            expected = sum(share * each[name] for share, each in zip(shares, history, strict=True))
            torch.testing.assert_close(average.double(), expected, rtol=1e-5, atol=1e-6)


def test_power_averages_hold_nothing_of_the_base_from_the_first_step_on() -> None:
    trained = parameters()
    ema = Ema(trained, POWER, total_steps=10)
    assert ema.base_share == 1
    wander(trained, 1)
    ema.update()
    assert ema.base_share == 0
    assert ema.second is not None
    for name, parameter in trained.items():
        assert torch.equal(ema.averages[name], parameter)
        assert torch.equal(ema.second[name], parameter)


@pytest.mark.parametrize("mode", ["base", "warmup", "none"])
def test_only_power_keeps_a_second_average(mode: str) -> None:
    settings = EmaSettings(mode=mode, base_share=0.5 if mode == "base" else None)  # type: ignore[arg-type]
    assert Ema(parameters(), settings, total_steps=3).second is None


def test_averages_are_float32_even_of_bfloat16_weights() -> None:
    trained = {"w": nn.Parameter(torch.ones(3, dtype=torch.bfloat16))}
    ema = Ema(trained, EmaSettings(mode="base", decay=0.9999), total_steps=10)
    assert ema.averages["w"].dtype == torch.float32
    with torch.no_grad():
        trained["w"].add_(1)
    for _ in range(10):
        ema.update()
    torch.testing.assert_close(ema.averages["w"], torch.full((3,), 2 - 0.9999**10))


def test_bfloat16_weights_are_averaged_in_bounded_groups_as_float32_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("styledag.training.averaging.parameter_groups._GROUP_ELEMENTS", 6)
    halves = {name: nn.Parameter(each.detach().bfloat16()) for name, each in parameters().items()}
    floats = {name: nn.Parameter(each.detach().float()) for name, each in halves.items()}
    ours, theirs = (Ema(each, POWER, total_steps=9) for each in (halves, floats))
    for step in range(1, 10):
        wander(halves, step)
        with torch.no_grad():
            for name, each in floats.items():
                each.copy_(halves[name])
        ours.update()
        theirs.update()
    assert ours.second is not None
    assert theirs.second is not None
    for name in floats:
        assert torch.equal(ours.averages[name], theirs.averages[name])
        assert torch.equal(ours.second[name], theirs.second[name])


def test_weights_of_another_format_take_the_average_s_values_and_get_their_own_back() -> None:
    trained = {name: nn.Parameter(each.detach().bfloat16()) for name, each in parameters().items()}
    ema = Ema(trained, EmaSettings(mode="base", decay=0.5), total_steps=3)
    wander(trained, 1)
    ema.update()
    raw = {name: each.detach().clone() for name, each in trained.items()}
    averages = {name: each.clone() for name, each in ema.averages.items()}
    with ema.in_place():
        for name, parameter in trained.items():
            assert parameter.dtype == torch.bfloat16
            assert torch.equal(parameter, averages[name].bfloat16())
    assert all(torch.equal(trained[name], raw[name]) for name in trained)
    assert all(torch.equal(ema.averages[name], averages[name]) for name in trained)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_averages_in_the_computer_s_memory_equal_those_beside_the_weights(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    monkeypatch.setattr("styledag.training.averaging.parameter_groups._GROUP_ELEMENTS", 6)
    trained = {
        name: nn.Parameter(each.detach().to("cuda", dtype)) for name, each in parameters().items()
    }
    beside = Ema(trained, POWER, total_steps=20)
    apart = Ema(trained, POWER, total_steps=20, device=torch.device("cpu"))
    for step in range(1, 21):
        with torch.no_grad():
            for each in trained.values():
                each.add_(step * 0.1)
        beside.update()
        apart.update()
    raw = {name: each.detach().clone() for name, each in trained.items()}
    for name, average in apart.averages.items():
        assert average.device.type == "cpu"
        torch.testing.assert_close(average, beside.averages[name].cpu())
    with apart.in_place():
        for name, each in trained.items():
            assert torch.equal(each.cpu(), apart.averages[name].to(dtype))
    assert all(torch.equal(trained[name], raw[name]) for name in trained)
