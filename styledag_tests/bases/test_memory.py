"""The memory that is predicted for a microstep, against what torch's own allocator gave out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.profiler import profile

from styledag.bases.find import find_base
from styledag.training.estimating.dry_pass import dry_pass
from styledag.training.estimating.live_bytes import LiveBytes
from styledag.training.recipe import LoraSettings, Recipe
from styledag.training.weights.lora import LoraAdapters
from styledag.training.weights.trainable import Trainable
from styledag_tests.bases.families import tiny_families

IMAGES = 3
FULL = Recipe()
LORA = Recipe(trained="attention", lora=LoraSettings(rank=4), gradient_checkpointing=True)


def allocated_peak(work: Callable[[], object]) -> int:
    """Most bytes of the CPU's allocator while some work was done, over those at its start."""
    with profile(profile_memory=True, use_cpu=True) as profiled:
        work()
    results = profiled.kineto_results
    assert results is not None
    now = peak = 0
    for _, size in sorted(allocations(results.experimental_event_tree())):
        now += size
        peak = max(peak, now)
    return peak


def allocations(events: Any) -> Iterator[tuple[int, int]]:
    """When how many bytes were given out, or given back."""
    for event in events:
        if event.tag.name == "Allocation":
            yield event.start_time_ns, event.extra_fields.alloc_size
        yield from allocations(event.children)


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(FULL, id="all weights"),
        pytest.param(Recipe(gradient_checkpointing=True), id="all weights, recomputed"),
        pytest.param(LORA, id="adapters, recomputed"),
    ],
)
@pytest.mark.parametrize("name", tiny_families())
def test_memory_is_that_of_a_real_pass(
    name: str, recipe: Recipe, folder_of: Callable[[str], Path]
) -> None:
    base = find_base(folder_of(name))
    shape = base.latents.shape(width_px=32, height_px=32)
    predicted = dry_pass(
        base.folder, recipe, shape, device="cpu", dtype=torch.float32, batch_size=IMAGES
    ).peak_bytes
    denoiser: Any = base.denoiser()
    chosen = Trainable(base, recipe)
    if recipe.lora is None:
        chosen.select(denoiser)
    else:
        LoraAdapters(denoiser, recipe, chosen)
    if recipe.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing()
    latents, timesteps = torch.zeros(IMAGES, *shape), torch.zeros(IMAGES, dtype=torch.int64)
    meta = base.meta_conditioning(IMAGES)
    tensors = {
        name: torch.ones(each.shape, dtype=each.dtype) for name, each in meta.tensors.items()
    }
    given = type(meta)(tensors)

    def microstep() -> None:
        prediction = base.predict(denoiser, latents, timesteps, given)
        torch.autograd.backward(prediction.square().mean())

    microstep()  # what is made once is there now
    denoiser.zero_grad()
    assert predicted == pytest.approx(allocated_peak(microstep), rel=0.05)


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(lambda hidden, _: hidden * 1, id="alone"),
        pytest.param(lambda hidden, _: hidden.view(-1, 4).view(-1), id="a view"),
        pytest.param(lambda hidden, kept: _held(hidden * 1, kept), id="held elsewhere"),
    ],
)
def test_gradients_that_meet_are_added_in_place_where_autograd_does(
    way: Callable[[Tensor, list[Tensor]], Tensor],
) -> None:
    leaf = torch.ones(1, requires_grad=True)
    kept: list[Tensor] = []

    def work() -> None:
        hidden = leaf.expand(1 << 20).clone()
        other = hidden * 3
        total = other + way(hidden, kept) * 4  # made last, so that its gradient is the first
        total.backward(torch.ones_like(total))

    def again() -> None:
        leaf.grad = None
        kept.clear()

    live = LiveBytes([leaf])
    with live:
        work()
    again()
    assert live.peak == pytest.approx(allocated_peak(work), rel=0.001)
    again()


def _held(tensor: Tensor, kept: list[Tensor]) -> Tensor:
    """Keep the gradients that its function gives back."""
    assert tensor.grad_fn is not None
    tensor.grad_fn.register_hook(
        lambda back, _: kept.extend(each for each in back if each is not None)
    )
    return tensor
