"""Whether a model's training fits the memory and the disk that are there, and has enough steps."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import StyledagError, TrainingError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.finding import Finding
from styledag.graph.checking.planned_training import ASSUMED, planned_training
from styledag.graph.checks import not_its_own
from styledag.graph.names import Partition
from styledag.models.compute import Compute, ComputeSettings, resolve_compute

if TYPE_CHECKING:
    from styledag.training.estimating.estimate import Estimate, PlannedTraining

_GB, _MB, _SMALL = 1e9, 1e6, 1e8


def check_training(
    catalogue: Catalogue, model: Partition, compute: ComputeSettings
) -> Iterator[Finding]:
    """Yield whether a model's training fits memory and disk; nothing of it is run."""
    from styledag.training.estimating.estimate import estimate_training
    from styledag.training.optimising.trial import try_bitsandbytes

    try:
        resolved = resolve_compute(compute)
        planned, _ = planned_training(catalogue, model, resolved)
        if planned.recipe.needs_bitsandbytes:
            try_bitsandbytes(planned.recipe, planned.compute)
        estimate = estimate_training(planned)
        encoders = _text_encoders(catalogue, model, planned, resolved)
    except StyledagError as exc:
        yield Finding(f"{model}: training", False, str(exc))
        return
    yield _memory(model, planned, estimate)
    yield encoders
    yield _disk(catalogue, model, estimate)


def check_steps(catalogue: Catalogue, model: Partition, compute: ComputeSettings) -> str:
    """Return how many optimiser steps a model is trained for, once the images are counted.

    Raises:
        TrainingError: If they end before the learning rate has risen, or if nearly all of the
            average would be the base or the newest weights, where the check of the trained model
            is an error.
        StyledagError: If the training cannot be planned.
    """
    from styledag.training.averaging.ema import base_share, ema_decay
    from styledag.training.schedule import Schedule

    planned, source = planned_training(catalogue, model, resolve_compute(compute))
    steps, recipe = planned.steps, planned.recipe
    if source == ASSUMED:
        return "known once the images are counted"
    Schedule.of(recipe, total_steps=steps)
    known, ema = f"{steps}, images {source}", recipe.ema
    is_error = "average_is_its_own" in catalogue.style(model.style).checks.errors
    if ema.mode == "none" or recipe.stopping is not None or not is_error:
        return known
    shares = {
        "base": base_share(ema, steps, total_steps=steps),
        "newest weights": 1 - ema_decay(ema, steps, total_steps=steps),
    }
    why = not_its_own(asdict(ema), shares)
    if why:
        raise TrainingError(f"{model}: after {steps} steps {why}")
    return known


def _memory(model: Partition, planned: "PlannedTraining", estimate: "Estimate") -> Finding:
    from styledag.training.estimating.free_memory import free_bytes
    from styledag.training.estimating.memory_check import bytes_by_base_bits, check_memory

    subject, free = f"{model}: memory", free_bytes(planned.compute.device)
    try:
        check_memory(planned, free=free)
    except StyledagError as exc:
        return Finding(subject, False, f"{model}: {exc}")
    items = ", ".join(
        f"{name} {_bytes(size)}" for name, size in estimate.device_bytes.items() if size
    )
    host = "".join(
        f"; {name} {_bytes(size)} in host memory" for name, size in estimate.host_bytes.items()
    )
    by_bits = ", ".join(
        f"{bits}: {_bytes(size)}" for bits, size in bytes_by_base_bits(planned).items()
    )
    return Finding(
        subject,
        True,
        f"{_bytes(estimate.needed_bytes)} of {planned.compute.device}, where {_bytes(free)} are "
        f"free: {items}{host}" + (f"; by lora.base_bits {by_bits}" if by_bits else ""),
    )


def _text_encoders(
    catalogue: Catalogue, model: Partition, planned: "PlannedTraining", compute: Compute
) -> Finding:
    """Return whether the text encoders, which may be larger than the denoiser, fit alone."""
    from styledag.training.encoding.encoders import encoding_dtype
    from styledag.training.estimating.dry_pass import text_encoder_bytes
    from styledag.training.estimating.free_memory import free_bytes

    subject, free = f"{model}: text encoders", free_bytes(compute.device)
    needed = text_encoder_bytes(planned.base, encoding_dtype(compute))
    taken = f"{_bytes(needed)} of {compute.device}, where {_bytes(free)} are free"
    if needed <= free:
        return Finding(subject, True, f"{taken}; they are freed before training")
    if catalogue.store.current("encoded_dataset", model.stored_as) is not None:
        return Finding(subject, True, f"{taken}; captions are encoded already")
    return Finding(
        subject,
        False,
        f"the text encoders of {model} take {taken}: name a base with smaller ones or without "
        "one that it can do without, or a device with more memory",
    )


def _disk(catalogue: Catalogue, model: Partition, estimate: "Estimate") -> Finding:
    needed = (
        f"{_bytes(estimate.disk_bytes)}: {estimate.snapshots} checkpoints of "
        f"{_bytes(estimate.snapshot_bytes)} and the model, at most two states of "
        f"{_bytes(estimate.state_bytes)} until it is trained, the encoded dataset "
        f"{_bytes(estimate.encoded_bytes)}, and as much again by image and caption"
    )
    files = catalogue.store.files
    if not files.is_local:
        return Finding(f"{model}: disk", True, needed)
    root = Path(files.root)
    there = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free >= estimate.disk_bytes:
        return Finding(f"{model}: disk", True, f"{needed}; {_bytes(free)} are free")
    return Finding(
        f"{model}: disk",
        False,
        f"training {model} needs {needed} on the disk, but {_bytes(free)} are free: raise "
        "snapshot_every_epochs, set snapshot_format to delta, or name another --store",
    )


def _bytes(number: int) -> str:
    return f"{number / _GB:.2f} GB" if number >= _SMALL else f"{number / _MB:.1f} MB"
