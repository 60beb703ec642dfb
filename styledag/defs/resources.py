"""What assets are given: the GPU, and where progress is shown."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from typing import Literal, Protocol

import dagster as dg
from pydantic import Field

from styledag.models.compute import Compute, ComputeSettings, resolve_compute
from styledag.progress import Advance, Progress


class ComputeResource(dg.ConfigurableResource):
    """The device that a run computes with; asking for one that isn't there is an error."""

    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        "auto", description="Device; auto takes CUDA, else MPS, else the CPU."
    )
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="Dtype of inference and autocast."
    )
    compile: bool = Field(False, description="Compile the UNet before training.")
    channels_last: bool | None = Field(
        None, description="Keep channels innermost in memory; only on CUDA if left out."
    )
    deterministic: bool = Field(
        False, description="Only kernels that give the same bits again on the same GPU; slower."
    )
    memory_budget_gib: float | None = Field(
        None, description="Most device memory that one process may take."
    )

    def resolve(self) -> Compute:
        """Return the device that is really there; imports torch.

        Raises:
            DeviceError: If it isn't.
        """
        settings = {each.name: getattr(self, each.name) for each in fields(ComputeSettings)}
        return resolve_compute(ComputeSettings(**settings))


class ProgressOf(Protocol):
    """Gives each materialisation somebody who shows its progress."""

    def __call__(self, context: dg.AssetExecutionContext) -> Progress:
        """Return who shows the progress of one materialisation."""


class LogProgress:
    """Says in a run's log how far a stage is, at most every few seconds.

    Args:
        log: The run's log.
        every_s: Least seconds between two lines.
    """

    def __init__(self, log: logging.Logger, *, every_s: float = 10.0) -> None:
        self._log = log
        self._every_s = every_s

    @contextmanager
    def task(self, description: str, total: int | None, *, done: int = 0) -> Iterator[Advance]:
        """Log now and then the state of one task with the time left, and its end."""
        finished = 0
        before = done
        said_at = started_at = time.monotonic()

        def advance(done: int = 1, /, **figures: float) -> None:
            nonlocal finished, said_at
            finished += done
            now = time.monotonic()
            if now - said_at >= self._every_s:
                said_at = now
                shown = "".join(f", {name} {value:.4g}" for name, value in figures.items())
                state = f"{before + finished} of {total or '?'}"
                if total and finished:
                    left_s = (total - before - finished) * (now - started_at) / finished
                    state += f", {timedelta(seconds=round(left_s))} left"
                self._log.info(f"{description}: {state}{shown}")

        yield advance
        if finished:
            self._log.info(f"{description}: {finished} in {time.monotonic() - started_at:.1f} s")


def log_progress(context: dg.AssetExecutionContext) -> Progress:
    """Return progress that goes to the run's log, as the web UI shows it."""
    return LogProgress(context.log)
