"""One family's training steps, with random weights of its real size and random data."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.architectures import ARCHITECTURES, write_architecture
from benchmarks.speed.measured import peak_memory
from styledag.bases.base import Base
from styledag.bases.conditioning import Conditioning
from styledag.bases.find import find_base
from styledag.bases.latents import LatentsShape
from styledag.models.compute import Compute, resolve_device
from styledag.training.batches import Batch
from styledag.training.estimating.dry_pass import dry_pass
from styledag.training.optimising.optimisation import Optimisation
from styledag.training.processes import Processes
from styledag.training.recipe import EmaSettings, LoraSettings, Recipe

PEAK_FLOPS = 989e12
"""Dense bfloat16 of an H100 SXM by its data sheet."""
_SMALL_SIZE_PX = 256


class RandomWeights:
    """A base whose denoiser has random weights, made on the device.

    Args:
        base: Whose configurations are real, and which has no weights.
    """

    def __init__(self, base: Base) -> None:
        self._base = base

    def __getattr__(self, name: str) -> Any:
        """Return a member of the base."""
        return getattr(self._base, name)

    def denoiser(self, *, device: Any, dtype: torch.dtype) -> Any:
        """Return a denoiser with random weights of the size that training starts from."""
        model = self._base.denoiser(device="meta", dtype=dtype).to_empty(device=device)
        generator = torch.Generator(device).manual_seed(0)
        with torch.no_grad():
            for each in filter(torch.is_floating_point, (*model.parameters(), *model.buffers())):
                each.normal_(std=0.02, generator=generator)
        return model


def recipe_of(*, full: bool, batch_size: int, small: bool) -> Recipe:
    """Return what is trained: all weights in bfloat16, or adapters of attention.

    Args:
        full: Whether all weights are.
        batch_size: Images in one step.
        small: Whether it runs on a CPU, in float32.
    """
    return Recipe(
        trained="unet" if full else "attention",
        lora=None if full else LoraSettings(rank=32),
        weights="float32" if small else "bfloat16",
        optimizer="adamw",
        gradient_checkpointing=not small,
        batch_size=batch_size,
        learning_rate=1e-5,
        ema=EmaSettings(mode="base", base_share=0.2),
        ema_on_cpu=full and not small,
        snapshot_dtype="bfloat16",
    )


def measure_family(
    name: str, work: Path, *, device: str, full: bool, batch_size: int, steps: int
) -> dict[str, float]:
    """Train some steps of a family and return images a second, share of the limit, memory.

    Args:
        name: As in ``styledag new --base``.
        work: Empty folder for its configurations.
        device: ``cuda``, or ``cpu`` at the small scale.
        full: Whether all weights are trained, or adapters.
        batch_size: Images in one step.
        steps: Steps that are timed; two come before.
    """
    small = device == "cpu"
    folder = write_architecture(name, work / name, small=small)
    dtype = torch.float32 if small else torch.bfloat16
    compute = Compute(resolve_device(device), dtype)
    base: Any = RandomWeights(find_base(folder))
    recipe = recipe_of(full=full, batch_size=batch_size, small=small)
    width_px, height_px = (_SMALL_SIZE_PX, _SMALL_SIZE_PX) if small else base.size_px
    shape = base.latents.shape(width_px=width_px, height_px=height_px)
    predicted = dry_pass(folder, recipe, shape, device=device, dtype=dtype, batch_size=batch_size)
    optimisation = Optimisation(
        base,
        recipe,
        base.objective(),
        compute=compute,
        processes=Processes(),
        total_steps=steps + 2,
    )
    batch = _batch(base, shape, batch_size)
    _train(optimisation, batch, steps=2)
    began = time.perf_counter()
    _train(optimisation, batch, steps=steps)
    images_per_s = steps * batch_size / (time.perf_counter() - began)
    figures = {
        "parameters": float(predicted.parameters),
        "images_per_s": images_per_s,
        "flops_predicted": predicted.flops / batch_size,
        "flops_counted": _counted_flops(optimisation, batch) / batch_size,
        "share_of_peak": images_per_s * predicted.flops / batch_size / PEAK_FLOPS,
        "goal": ARCHITECTURES[name].goal,
    }
    return figures | peak_memory()


def _train(optimisation: Optimisation, batch: Batch, *, steps: int) -> None:
    """Train, and wait until the last step has been computed."""
    for _ in range(steps):
        figures = optimisation.step(iter([batch]), 1, len(batch), learning_rate=1e-5)
    loss, _ = figures.read()
    if not math.isfinite(loss):
        raise SystemExit(f"the loss is {loss}: no speed counts")
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _counted_flops(optimisation: Optimisation, batch: Batch) -> float:
    """Return the FLOPs of a step as torch counts them; its attention in plain kernels.

    Of a convolution's gradients torch leaves the groups out, so these are counted here.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    if batch.latents.is_cuda or torch.cuda.is_available():
        return math.nan  # plain attention at the real size does not fit
    own = {torch.ops.aten.convolution_backward: _convolution_gradients}
    counter = FlopCounterMode(display=False, custom_mapping=own)
    with counter, sdpa_kernel(SDPBackend.MATH):
        optimisation.step(iter([batch]), 1, len(batch), learning_rate=1e-5)
    return float(counter.get_total_flops())


def _convolution_gradients(
    output: Sequence[int], _image: Sequence[int], weight: Sequence[int], *settings: Any, **_: Any
) -> int:
    """Return the FLOPs of a convolution's gradients from shapes; none here is transposed."""
    wanted: Sequence[bool] = settings[-1]
    return 2 * output[0] * math.prod(output[2:]) * math.prod(weight) * sum(wanted[:2])


def _batch(base: Base, shape: LatentsShape, batch_size: int) -> Batch:
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    described = base.meta_conditioning(batch_size).tensors
    conditioning = Conditioning(
        {
            name: normal(*each.shape)
            if each.is_floating_point()
            else torch.ones(each.shape, dtype=each.dtype)
            for name, each in described.items()
        }
    )
    shares = [(at + 0.5) / batch_size for at in range(batch_size)]
    return Batch(
        latents=normal(batch_size, *shape),
        noise=normal(batch_size, *shape),
        timesteps=base.objective().timesteps(shares, shape),
        conditioning=conditioning,
        weights=torch.ones(batch_size),
        dropped=torch.zeros(batch_size, dtype=torch.bool),
    )
