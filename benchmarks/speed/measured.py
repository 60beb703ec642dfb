"""Clocks and memory of one process, and how a worker process returns its figures."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_resident

MARK = "FIGURES "
ROOT = Path(__file__).resolve().parents[2]
"""The repository, which worker processes import the package and the benchmarks from."""


class WorkerError(SystemExit):
    """A worker process failed, which ends a benchmark that does not go on without it."""


class Stamps:
    """The clock and the processor's seconds after each optimiser step."""

    def __init__(self) -> None:
        self.wall_s: list[float] = []
        self.cpu_s: list[float] = []

    def stamp(self) -> None:
        """Note that a step is done."""
        self.wall_s.append(time.perf_counter())
        self.cpu_s.append(time.process_time())

    def figures(self, images_per_step: int, warm_up_steps: int) -> dict[str, float]:
        """Return images a second of clock and of processor, after so many steps of warm-up."""
        steps = len(self.wall_s) - warm_up_steps
        images = steps * images_per_step
        return {
            "steps": steps,
            "images_per_s": images / (self.wall_s[-1] - self.wall_s[warm_up_steps - 1]),
            "images_per_cpu_s": images / (self.cpu_s[-1] - self.cpu_s[warm_up_steps - 1]),
        }


def peak_memory() -> dict[str, float]:
    """Return the most memory that this process has had, in bytes."""
    import torch

    figures: dict[str, float] = {"peak_rss": peak_resident()}
    if torch.cuda.is_available():
        figures["peak_allocated"] = torch.cuda.max_memory_allocated()
        figures["peak_reserved"] = torch.cuda.max_memory_reserved()
    return figures


def report_figures(figures: Mapping[str, Any]) -> None:
    """Print figures for the process that waits for them."""
    print(MARK + json.dumps(figures), flush=True)


def run_worker(
    module: str,
    task: Mapping[str, Any],
    *,
    device: str,
    threads: int,
    log: Path,
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Run a module in a fresh process and return its figures.

    Args:
        module: Such as ``benchmarks.speed.ours``.
        task: Its one argument, as JSON.
        device: ``cpu`` hides CUDA from it.
        threads: Of the processor, for each of torch's operations.
        log: File that its errors are appended to.
        timeout_s: Longest time that it may take.

    Raises:
        WorkerError: If it fails or takes too long; the message ends with its last words.
    """
    command: Sequence[str] = [sys.executable, "-m", module, json.dumps(task)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    if device == "cpu":
        environment |= {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    with log.open("a", encoding="utf-8") as errors:
        try:
            done = subprocess.run(
                command,
                env=environment,
                cwd=log.parent,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired as exc:
            raise WorkerError(f"{module} did not end within {timeout_s:.0f} s") from exc
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not lines:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-25:])
        raise WorkerError(f"{tail}\n{module} ended with {done.returncode}; its whole log: {log}")
    figures: dict[str, Any] = json.loads(lines[-1].removeprefix(MARK))
    return figures
