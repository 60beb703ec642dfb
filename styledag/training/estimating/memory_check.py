"""Whether a run fits the memory that is there; if not, which settings would make it fit."""

import gc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from styledag.errors import TrainingError
from styledag.training.estimating.estimate import PlannedTraining, device_bytes
from styledag.training.estimating.free_memory import free_bytes
from styledag.training.recipe import LoraSettings

_GB = 1_000_000_000


@dataclass(frozen=True)
class Switch:
    """Settings of a recipe that save memory.

    Attributes:
        settings: The recipe's settings to change, by name.
        saved_bytes: What they save alone.
    """

    settings: Mapping[str, Any]
    saved_bytes: int

    def __str__(self) -> str:
        return f"{_written(self.settings)} saves {self.saved_bytes / _GB:.2f} GB"


@dataclass(frozen=True)
class MemoryAdvice:
    """What would make a run fit.

    Attributes:
        switches: Each setting that saves something, with what it saves alone.
        together: The settings that make it fit, the mildest first; empty if nothing does.
        needed_bytes: What the run then needs; without ``together``, the least that it can.
    """

    switches: tuple[Switch, ...]
    together: Mapping[str, Any]
    needed_bytes: int


def check_memory(planned: PlannedTraining, *, free: int | None = None) -> dict[str, int]:
    """Return the device memory that a run will take, by what it is for, if it fits.

    Of the base only the UNet's configuration is read.

    Args:
        planned: The run, before anything of it is on the device.
        free: Bytes that it may take; measured when left out.

    Raises:
        TrainingError: If it needs more; the message says of what it consists and which settings
            would make it fit, with the bytes that each saves.
        ModelError: If the UNet's configuration is missing or damaged.
    """
    needed = device_bytes(planned)
    device = planned.compute.device
    available = free_bytes(device) if free is None else free
    total = sum(needed.values())
    if total > available and free is None:
        # Compiled modules refer to themselves: those of an earlier run may be there still.
        gc.collect()
        available = free_bytes(device)
    if total <= available:
        return needed
    items = ", ".join(f"{name} {size / _GB:.2f}" for name, size in needed.items() if size)
    raise TrainingError(
        f"training needs {total / _GB:.2f} GB of memory on {device} ({items}), "
        f"but {available / _GB:.2f} GB are free: {describe(memory_advice(planned, available))}"
    )


def memory_advice(planned: PlannedTraining, available: int) -> MemoryAdvice:
    """Return which settings make a run fit into so many bytes; each is tried by estimating.

    Settings that change nothing of the result come first: recomputing activations, smaller
    microsteps, the average elsewhere. Those that change it follow.
    """
    before = _needed(planned, {})
    switches = []
    together: dict[str, Any] = {}
    needed = before
    for settings in _switches(planned):
        alone = _needed(planned, settings)
        if alone >= before:
            continue
        switches.append(Switch(settings, before - alone))
        if needed > available and (both := _needed(planned, together | settings)) < needed:
            together |= settings
            needed = both
    fits = needed <= available
    return MemoryAdvice(tuple(switches), together if fits else {}, needed)


def bytes_by_base_bits(planned: PlannedTraining) -> dict[str, int]:
    """Return what a run of adapters needs by ``base_bits``, with ``none``; nothing of others."""
    lora = planned.recipe.lora
    if lora is None:
        return {}
    ways = {"none": replace(lora, base_bits=None)}
    ways |= {str(bits): replace(lora, base_bits=bits) for bits in (8, 4)}
    return {bits: _needed(planned, {"lora": each}) for bits, each in ways.items()}


def describe(advice: MemoryAdvice) -> str:
    """Return the advice as a sentence's end."""
    if not advice.switches:
        return "take a smaller base, or a device with more memory"
    each = "; ".join(str(switch) for switch in advice.switches)
    if advice.together:
        end = f"it fits in {advice.needed_bytes / _GB:.2f} GB with {_written(advice.together)}"
    else:
        end = (
            f"even all of it needs {advice.needed_bytes / _GB:.2f} GB, so take smaller images, "
            "a smaller base, or a device with more memory"
        )
    return f"{each}; {end}"


def _switches(planned: PlannedTraining) -> Iterator[dict[str, Any]]:
    recipe = planned.recipe
    if not recipe.gradient_checkpointing:
        yield {"gradient_checkpointing": True}
    if recipe.batch_size > 1:
        yield {
            "batch_size": 1,
            "gradient_accumulation": recipe.batch_size * recipe.gradient_accumulation,
        }
    if not recipe.ema_on_cpu and planned.compute.device.type != "cpu":
        yield {"ema_on_cpu": True}
    if recipe.optimizer == "adamw":
        # bitsandbytes' 8-bit kernels are made for CUDA.
        on_cuda = planned.compute.device.type == "cuda"
        yield {"optimizer": "adamw_8bit" if on_cuda else "adafactor"}
    if recipe.weights == "float32" and planned.compute.dtype == torch.bfloat16:
        yield {"weights": "bfloat16"}
    if recipe.trained == "unet":
        yield {"trained": "attention"}
    lora = recipe.lora or LoraSettings()
    if recipe.lora is None:
        yield {"lora": lora}
    if lora.base_bits is None:
        yield {"lora": replace(lora, base_bits=8)}
        yield {"lora": replace(lora, base_bits=4)}


def _needed(planned: PlannedTraining, settings: Mapping[str, Any]) -> int:
    changed = replace(planned, recipe=replace(planned.recipe, **settings))
    return sum(device_bytes(changed).values())


def _written(settings: Mapping[str, Any]) -> str:
    """Return settings as a style file spells them."""
    parts = []
    for name, value in settings.items():
        if isinstance(value, LoraSettings):
            bits = "" if value.base_bits is None else f", base_bits: {value.base_bits}"
            parts.append(f"{name}: {{rank: {value.rank}{bits}}}")
        elif isinstance(value, bool):
            parts.append(f"{name}: {str(value).lower()}")
        else:
            parts.append(f"{name}: {value}")
    return ", ".join(parts)
