"""How much of everything a run of the benchmark does, on a GPU and on a CPU."""

from dataclasses import dataclass
from typing import Any

from benchmarks.speed.fake import QUICK, STABLE_DIFFUSION_15, Architecture


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Counts and settings.

    Attributes:
        architecture: Of the fake base.
        images: Images of the contest, the ladder and the gates.
        epochs: Passes over them in the contest and the ladder.
        warm_up_steps: Optimiser steps that no speed is computed from; at least one.
        batch_size: Images in a step.
        whole_images: Images of the whole run, snapshots and all.
        whole_epochs: Its epochs.
        gate_steps: Least optimiser steps of the gates.
        gate_batch_size: Images in each.
        gate_size_px: Side of the gates' images.
        rounds: How often each contender runs.
        fast: Our compute settings in the contest.
        lowered: The settings that the gates compare with float32.
        peer_precision: The tuned peer's.
        lean: The recipe of the least memory.
        sampled: Images sampled at a time.
        sampling_steps: Denoising steps of each.
        captioned: Images captioned at a time.
    """

    architecture: Architecture
    images: int
    epochs: int
    warm_up_steps: int
    batch_size: int
    whole_images: int
    whole_epochs: int
    gate_steps: int
    gate_batch_size: int
    gate_size_px: int
    rounds: int
    fast: dict[str, Any]
    lowered: dict[str, Any]
    peer_precision: str
    lean: dict[str, Any]
    sampled: int
    sampling_steps: int
    captioned: int


def scale_of(device: str, *, quick: bool) -> Scale:
    """Return the counts for a device; ``quick`` makes a run of minutes."""
    return _cuda(quick=quick) if device == "cuda" else _cpu(device, quick=quick)


def _cuda(*, quick: bool) -> Scale:
    bfloat16 = {"device": "cuda", "dtype": "bfloat16", "channels_last": True}
    return Scale(
        architecture=STABLE_DIFFUSION_15,
        images=128 if quick else 512,
        epochs=8,
        warm_up_steps=16 if quick else 32,
        batch_size=32,
        whole_images=800,
        whole_epochs=10,
        gate_steps=100 if quick else 200,
        gate_batch_size=4,
        gate_size_px=512,
        rounds=2 if quick else 3,
        fast=bfloat16 | {"compile": "on"},
        # The gates' batches are others than the contest's, and would be compiled for minutes.
        lowered=bfloat16 | {"compile": "off" if quick else "on"},
        peer_precision="bf16",
        lean={"weights": "bfloat16", "optimizer": "adamw_8bit", "ema_on_cpu": True},
        sampled=16,
        sampling_steps=25,
        captioned=64,
    )


def _cpu(device: str, *, quick: bool) -> Scale:
    return Scale(
        architecture=QUICK,
        images=24 if quick else 64,
        epochs=3,
        warm_up_steps=3 if quick else 8,
        batch_size=8,
        whole_images=24 if quick else 64,
        whole_epochs=2 if quick else 10,
        gate_steps=200,
        gate_batch_size=1,
        gate_size_px=64,
        rounds=3,
        # Few processors are faster in bfloat16.
        fast={"device": device, "dtype": "float32"},
        lowered={"device": device, "dtype": "bfloat16"},
        peer_precision="no",
        lean={"weights": "bfloat16", "optimizer": "adafactor"},
        sampled=4,
        sampling_steps=4,
        captioned=16,
    )
