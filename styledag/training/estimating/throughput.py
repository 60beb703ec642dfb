"""How fast a device runs a base's own layers, measured in about a second, and what follows."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from styledag.bases.base import Base
from styledag.bases.find import find_base
from styledag.training.estimating.estimate import Estimate, PlannedTraining
from styledag.training.estimating.flops import Flops

_PROBE_FLOPS = {"cuda": 2e12, "mps": 1e11, "cpu": 6e9}
"""FLOPs of one probe: some tenths of a second at the most."""
_REPEATS = 5
_MOVED_NUMBERS = {"cuda": 1 << 26, "mps": 1 << 24, "cpu": 1 << 22}
_FLOAT32 = 4
_LEAST_SIDE = 4
"""Sides of latents down to which they may be halved."""


@dataclass(frozen=True)
class Throughput:
    """What a device does in a second.

    Attributes:
        flops_per_s: FLOPs of forward and backward passes.
        bytes_per_s: Memory read and written by updates of weights.
    """

    flops_per_s: float
    bytes_per_s: float


@dataclass(frozen=True)
class PredictedTime:
    """How long a run will take.

    Attributes:
        training_s: Passes, optimiser and averages.
        encoding_s: Images and captions, once.
        validation_s: Validation losses of all snapshots.
    """

    training_s: float
    encoding_s: float
    validation_s: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.training_s + self.encoding_s + self.validation_s


def predict_time(estimate: Estimate, throughput: Throughput) -> PredictedTime:
    """Return how long a run will take, from its FLOPs and the device's throughput.

    It is assumed that all layers run as fast as those that were probed, and that the writing of
    snapshots and compiling hide or are left out.
    """
    updates_s = estimate.steps * estimate.moved_bytes / throughput.bytes_per_s
    encoding = estimate.encoded * estimate.flops_encode + estimate.captions * estimate.flops_caption
    return PredictedTime(
        training_s=estimate.images * estimate.flops / throughput.flops_per_s + updates_s,
        encoding_s=encoding / throughput.flops_per_s,
        validation_s=estimate.validated * estimate.flops_forward / throughput.flops_per_s,
    )


def measure_throughput(planned: PlannedTraining) -> Throughput:
    """Return how fast the run's device is at present, with the base's own blocks.

    Each of the base's probes runs forward and backward with random weights at the run's
    microstep, or at a smaller one that the device does in some tenths of a second.

    Raises:
        ModelError: If the denoiser's configuration is missing or damaged.
    """
    base = find_base(planned.base)
    probes = [_Measured(base, at, planned) for at in range(len(base.probes(planned.largest[1:])))]
    seconds = sum(probe.seconds() for probe in probes)
    flops = sum(probe.flops for probe in probes)
    return Throughput(flops / seconds, _bytes_per_s(planned.compute.device))


class _Measured:
    """One of the base's probes, forward and backward."""

    def __init__(self, base: Base, number: int, planned: PlannedTraining) -> None:
        self._compute = planned.compute
        self._batch_size, size = planned.microstep, planned.largest[1:]
        self._probe = base.probes(size)[number]
        self.flops = self._count()
        budget = _PROBE_FLOPS[planned.compute.device.type]
        while self.flops > budget and (self._batch_size > 1 or min(size) > _LEAST_SIDE):
            if self._batch_size > 1:
                self._batch_size = max(1, int(self._batch_size * budget / self.flops))
            else:
                size = (size[0] // 2, size[1] // 2)
                self._probe = base.probes(size)[number]
            self.flops = self._count()

    def seconds(self) -> float:
        """Return the time of one pass: the median over some, after one that does not count."""
        device, module = self._compute.device, self._probe.module
        module.to_empty(device=device).to(self._compute.dtype)
        generator = torch.Generator(device)
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.02, generator=generator.manual_seed(0))
        if self._compute.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._run(device)
        return _timed(lambda: self._run(device), device)

    def _count(self) -> int:
        counted = Flops()
        with counted:
            self._run(torch.device("meta"))
        return counted.total

    def _run(self, device: torch.device) -> None:
        dtype = next(self._probe.module.parameters()).dtype
        inputs = {
            name: torch.zeros(self._batch_size, *shape, device=device, dtype=dtype)
            for name, shape in self._probe.inputs.items()
        }
        next(iter(inputs.values())).requires_grad_(True)
        output = self._probe.module(**inputs, **dict.fromkeys(self._probe.left_out))
        first = output[0] if isinstance(output, tuple) else output
        torch.autograd.backward(first.float().square().mean())
        for parameter in self._probe.module.parameters():
            parameter.grad = None


def _bytes_per_s(device: torch.device) -> float:
    numbers = _MOVED_NUMBERS[device.type]
    average, weight = torch.zeros(numbers, device=device), torch.zeros(numbers, device=device)

    def move() -> None:
        torch._foreach_lerp_([average], [weight], 0.5)

    move()
    return 3 * _FLOAT32 * numbers / _timed(move, device)


def _timed(function: Callable[[], None], device: torch.device) -> float:
    times = []
    for _ in range(_REPEATS):
        _synchronise(device)
        began = time.perf_counter()
        function()
        _synchronise(device)
        times.append(time.perf_counter() - began)
    return median(times)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
