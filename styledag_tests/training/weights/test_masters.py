"""Passes in bfloat16, and the float32 weights that steps are taken on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from styledag.bases.find import find_base
from styledag.models.compute import Compute
from styledag.training.averaging.ema import Ema
from styledag.training.estimating.dry_pass import dry_pass
from styledag.training.estimating.live_bytes import LiveBytes
from styledag.training.optimising.optimizers import Optimizer, OptimizerSettings
from styledag.training.recipe import EmaSettings, LoraSettings, Recipe
from styledag.training.weights.masters import lower
from styledag.training.weights.stored_weights import LazyTensors, stored_weights
from styledag_tests.bases.loading import load_unet
from styledag_tests.tiny_base import TEXT_WIDTH
from styledag_tests.training.conftest import Encode
from styledag_tests.training.training import RECIPE, train

HALF = Compute(torch.device("cpu"), torch.bfloat16)
STEPS = 4


def lowered(base: Path, **settings: Any) -> tuple[nn.Module, dict[str, Tensor]]:
    unet = load_unet(base)
    return unet, dict(lower(unet, torch.bfloat16, **settings))


def test_passes_have_rounded_what_steps_are_taken_on(base: Path) -> None:
    exact = {name: each.detach().clone() for name, each in load_unet(base).named_parameters()}
    unet, masters = lowered(base)
    for name, parameter in unet.named_parameters():
        assert torch.equal(masters[name], exact[name])
        assert torch.equal(parameter.detach(), exact[name].bfloat16())
    assert not lower(load_unet(base), torch.float32)
    frozen = load_unet(base).requires_grad_(False)
    assert not lower(frozen, torch.bfloat16)
    assert {each.dtype for each in frozen.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("largest_norm", [0.5, 1e6], ids=["clipped", "not clipped"])
def test_steps_are_torchs_own_on_float32_weights(base: Path, largest_norm: float) -> None:
    unet, masters = lowered(base)
    ours = dict(unet.named_parameters())
    theirs = {name: nn.Parameter(each.clone()) for name, each in masters.items()}
    settings = OptimizerSettings()
    optimizer = Optimizer(ours, settings, masters=masters)
    reference = torch.optim.AdamW(theirs.values(), weight_decay=settings.weight_decay, fused=True)
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        for name, parameter in ours.items():
            gradient = torch.randn(parameter.shape, generator=generator) * 0.1
            parameter.grad = gradient.bfloat16()
            theirs[name].grad = gradient.bfloat16().float()
        norm = nn.utils.clip_grad_norm_(theirs.values(), largest_norm)
        for group in reference.param_groups:
            group["lr"] = 1e-3
        reference.step()
        found = optimizer.step(1e-3, step=step, max_grad_norm=largest_norm)
        optimizer.zero_grad()
        torch.testing.assert_close(found, norm)
    for name, parameter in ours.items():
        torch.testing.assert_close(masters[name], theirs[name].detach(), atol=1e-6, rtol=1e-5)
        assert torch.equal(parameter.detach(), masters[name].bfloat16())


def test_a_step_below_one_rounding_adds_up() -> None:
    layer = nn.Linear(64, 64)
    nn.init.ones_(layer.weight)
    masters = lower(layer, torch.bfloat16)
    optimizer = Optimizer(
        dict(layer.named_parameters()), OptimizerSettings(weight_decay=0.0), masters=masters
    )
    for step in range(50):  # The next number below 1 is 2 ** -8 = 0.0039 away.
        for parameter in layer.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step(1e-4, step=step)
    torch.testing.assert_close(masters["weight"], torch.full((64, 64), 1 - 50e-4))
    assert torch.equal(layer.weight.detach(), masters["weight"].bfloat16())


def test_gradients_of_several_passes_are_summed_in_float32() -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(3, 8, dtype=torch.bfloat16) for _ in range(STEPS)]
    layer = nn.Linear(8, 8)
    lower(layer, torch.bfloat16, accumulates=True)
    single = []
    for each in inputs:
        layer.weight.grad = None
        layer(each).float().square().sum().backward()
        assert layer.weight.grad is not None
        single.append(layer.weight.grad.clone())
    layer.weight.grad = None
    for each in inputs:
        layer(each).float().square().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
    assert torch.equal(layer.weight.grad, sum(single[1:], single[0]))
    assert not torch.equal(layer.weight.grad, layer.weight.grad.bfloat16().float())


def test_averages_are_of_the_float32_weights(base: Path) -> None:
    unet, masters = lowered(base)
    parameters = dict(unet.named_parameters())
    ema = Ema(parameters, EmaSettings(mode="base", decay=0.5), total_steps=3, masters=masters)
    before = {name: each.clone() for name, each in masters.items()}
    for name, parameter in parameters.items():
        masters[name].add_(1e-4)
        parameter.data.copy_(masters[name])
    ema.update()
    trained = {name: each.detach().clone() for name, each in parameters.items()}
    with ema.in_place():
        for name, parameter in parameters.items():
            torch.testing.assert_close(ema.averages[name], before[name] + 0.5e-4)
            assert torch.equal(parameter.detach(), ema.averages[name].bfloat16())
    assert all(torch.equal(parameters[name].detach(), trained[name]) for name in trained)


class Casts(TorchDispatchMode):
    """Counts tensors that a pass carries from one floating dtype to another."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if func is torch.ops.aten._to_copy.default:
            self.count += args[0].is_floating_point()
        return func(*args, **(kwargs or {}))


def test_a_pass_carries_nothing_between_dtypes_but_what_comes_in(base: Path) -> None:
    def counted(unet: nn.Module, dtype: torch.dtype, *, autocast: bool) -> int:
        latents = torch.zeros(2, 4, 8, 8, dtype=dtype)
        states = torch.zeros(2, 77, TEXT_WIDTH, dtype=dtype)
        casts = Casts()
        with casts:
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                predicted = unet(latents, torch.tensor([5, 6]), states, return_dict=False)[0]
            torch.autograd.backward(predicted.sum())
        return casts.count

    unet, _ = lowered(base)
    # The embedding of the timesteps, and its text states' mask.
    assert counted(unet, torch.bfloat16, autocast=False) <= 2
    assert counted(load_unet(base), torch.float32, autocast=True) > 100


def test_training_in_bfloat16_ends_near_float32s(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(8, validation=2)
    full = train(encoded, base, tmp_path / "full")
    half = train(encoded, base, tmp_path / "half", compute=HALF)
    before = load_file(base / "unet" / "diffusion_pytorch_model.safetensors")
    ends = [
        load_file(each.final.folder / "diffusion_pytorch_model.safetensors")
        for each in (full, half)
    ]
    moved = sum(float((ends[0][n].float() - before[n].float()).square().sum()) for n in before)
    apart = sum(float((ends[0][n].float() - ends[1][n].float()).square().sum()) for n in before)
    assert 0 < apart < 0.1 * moved
    assert half.final.validation_loss == pytest.approx(full.final.validation_loss, rel=0.01)


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [None, LoraSettings(rank=2)], ids=["weights", "adapters"])
def test_what_is_not_trained_stays_the_bases_own_to_the_bit(
    base: Path, encode: Encode, tmp_path: Path, weights: str, lora: LoraSettings | None
) -> None:
    pytest.importorskip("peft")
    settings = {"trained": "attention", "weights": weights, "lora": lora, "epochs": 1}
    result = train(encode(4), base, tmp_path, compute=HALF, lr_warmup_steps=0, **settings)
    before = load_file(base / "unet" / "diffusion_pytorch_model.safetensors")
    after = load_file(result.final.folder / "diffusion_pytorch_model.safetensors")
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name].half(), after[name].half())}
    assert changed
    assert all(".attn" in name for name in changed)


def test_a_step_makes_no_second_copy_of_the_gradients(base: Path) -> None:
    recipe = Recipe(batch_size=1)
    unet, masters = lowered(base)
    parameters = dict(unet.named_parameters())
    optimizer = Optimizer(parameters, OptimizerSettings.of(recipe), masters=masters)
    for step in range(2):
        for parameter in parameters.values():
            parameter.grad = torch.ones_like(parameter)
        live = LiveBytes([*masters.values(), *parameters.values()])
        with live:
            optimizer.step(1e-4, step=step)
        optimizer.zero_grad()
    found = dry_pass(base, recipe, (4, 8, 8), device="cpu", dtype=torch.bfloat16, batch_size=1)
    assert found.masters_bytes == 4 * found.trained
    assert found.weights_bytes == 2 * found.parameters
    assert live.peak < 1.1 * 4 * found.trained


def test_the_state_has_what_the_passes_rounded(base: Path, encode: Encode, tmp_path: Path) -> None:
    train(encode(4), base, tmp_path, compute=HALF)
    (path,) = (each for each in tmp_path.rglob("*.safetensors") if "step-" in str(each.parent))
    state = load_file(path)
    weights = [each for name, each in state.items() if name.startswith("weights/")]
    assert {each.dtype for each in weights} == {torch.float32}
    assert any(not torch.equal(each, each.bfloat16().float()) for each in weights)
    assert RECIPE["gradient_accumulation"] > 1


def test_what_no_file_has_under_its_name_is_read_from_the_loaded_base(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a buffer that follows from the configuration, or a weight that diffusers renames."""
    found, loaded = find_base(base), load_unet(base)
    loaded.register_buffer("positions", torch.arange(3.0))
    monkeypatch.setattr(type(found), "denoiser", lambda _: loaded)
    expected = loaded.state_dict()
    stored = LazyTensors(stored_weights(found, expected))
    assert list(stored) == list(expected)
    assert all(torch.equal(stored[name], each) for name, each in expected.items())
