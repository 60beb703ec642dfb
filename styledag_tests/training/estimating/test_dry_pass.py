"""Counts without weights against counts of real passes, and against published figures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag.training.estimating.dry_pass import DryPass, dry_pass, encoding_flops
from styledag.training.estimating.estimate import PlannedTraining
from styledag.training.estimating.live_bytes import LiveBytes
from styledag.training.estimating.memory_check import check_memory
from styledag.training.recipe import LoraSettings, Recipe
from styledag.training.weights.masters import lower
from styledag.training.weights.trainable import Trainable
from styledag_tests.bases.loading import load_unet, write_index
from styledag_tests.tiny_base import TEXT_WIDTH
from styledag_tests.training.architectures import write_stable_diffusion_15
from styledag_tests.training.conftest import CPU, Encode
from styledag_tests.training.training import RECIPE, train

SHAPE = (4, 8, 8)


def counted(
    base: Path, *, batch_size: int = 4, dtype: Any = torch.float32, **settings: Any
) -> DryPass:
    return dry_pass(
        base, Recipe(**settings), SHAPE, device="cpu", dtype=dtype, batch_size=batch_size
    )


def test_stable_diffusion_15_takes_the_published_operations(tmp_path: Path) -> None:
    base = write_stable_diffusion_15(tmp_path)
    found = dry_pass(base, Recipe(), (4, 64, 64), device="cuda", dtype=torch.bfloat16, batch_size=1)
    assert found.parameters == 859_520_964
    assert found.flops_forward / 1e9 == pytest.approx(803, abs=1)
    assert found.flops / 1e9 == pytest.approx(2407, abs=1)
    of_image, of_caption = encoding_flops(base, (4, 64, 64))
    assert of_image / 1e9 == pytest.approx(1117, abs=1)
    assert of_caption / 1e9 == pytest.approx(13, abs=0.5)


@pytest.mark.parametrize("trained", ["unet", "attention", "cross_attention"])
def test_operations_are_those_of_real_training(
    base: Path, encode: Encode, tmp_path: Path, trained: str
) -> None:
    encoded = encode(4)
    recipe = {"epochs": 1, "batch_size": 2, "gradient_accumulation": 1, "lr_warmup_steps": 0}
    # What training predicts of itself is remembered, and so is not counted below.
    check_memory(
        PlannedTraining.of(encoded, base, Recipe(**RECIPE | recipe, trained=trained), compute=CPU)
    )
    # torch's counter does not know the CPU's fused attention.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        train(encoded, base, tmp_path, trained=trained, **recipe)
    found = counted(base, batch_size=1, trained=trained)
    assert counter.get_total_flops() / 4 == pytest.approx(found.flops, rel=0.01)


def test_operations_grow_with_the_batch_and_with_recomputation(base: Path) -> None:
    single, several = counted(base, batch_size=1), counted(base, batch_size=3)
    assert several.flops == 3 * single.flops
    again = counted(base, batch_size=1, gradient_checkpointing=True)
    assert single.flops < again.flops <= single.flops + single.flops_forward
    assert again.flops_forward == single.flops_forward


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gradient_accumulation": 2},
        {"gradient_checkpointing": True},
        {"trained": "cross_attention"},
        {"blocks": ("mid", "up")},
    ],
    ids=str,
)
def test_memory_is_that_of_a_real_pass(
    base: Path, dtype: torch.dtype, settings: dict[str, Any]
) -> None:
    found = counted(base, dtype=dtype, **settings)
    assert found.peak_bytes == pytest.approx(_real_peak(base, dtype, Recipe(**settings)), rel=0.02)


def _real_peak(base: Path, dtype: torch.dtype, recipe: Recipe) -> int:
    unet = load_unet(base)
    Trainable(find_base(base), recipe).select(unet)
    if recipe.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    lower(unet, dtype, accumulates=recipe.gradient_accumulation > 1)
    live = LiveBytes([*unet.parameters(), *unet.buffers()])
    with live:
        for _ in range(recipe.gradient_accumulation):
            latents = torch.zeros(4, *SHAPE, dtype=dtype)
            states = torch.zeros(4, 77, TEXT_WIDTH, dtype=dtype)
            timesteps = torch.zeros(4, dtype=torch.int64)
            prediction = unet(latents, timesteps, states, return_dict=False)[0]
            torch.autograd.backward(prediction.float().square().mean())
            del prediction
    return live.peak


def test_parameters_are_counted_by_what_is_trained(base: Path) -> None:
    unet = load_unet(base)
    sizes = {name: each.numel() for name, each in unet.named_parameters()}
    assert counted(base).trained == sum(sizes.values())
    attention = sum(size for name, size in sizes.items() if ".attn2." in name)
    found = counted(base, trained="cross_attention")
    assert (found.trained, found.gradients_bytes) == (attention, 4 * attention)


def test_adapters_are_beside_the_weights(base: Path) -> None:
    pytest.importorskip("peft")
    plain = counted(base)
    found = counted(base, trained="attention", lora=LoraSettings(rank=2))
    assert found.parameters == plain.parameters + found.trained
    assert 0 < found.trained < plain.trained / 4


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    write_index(tmp_path)
    with pytest.raises(ModelError, match="unet"):
        counted(tmp_path)


def test_a_denoiser_that_does_not_fit_the_other_parts_is_named(base: Path, tmp_path: Path) -> None:
    """As one whose autoencoder was replaced by one with other latents."""
    with pytest.raises(ModelError, match=r"do not fit each other.*Invalid channel dimensions"):
        dry_pass(base, Recipe(), (16, 8, 8), device="cpu", dtype=torch.float32, batch_size=1)
