"""What a model's training will compute, and how long that takes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.finding import Finding
from styledag.graph.checking.planned_training import planned_training
from styledag.graph.names import Partition
from styledag.models.compute import ComputeSettings, resolve_compute

if TYPE_CHECKING:
    from styledag.training.estimating.estimate import Estimate, PlannedTraining

_MINUTE_S, _HOUR_S = 60, 3600


def predict_model(catalogue: Catalogue, model: Partition, *, fits: bool) -> Iterator[Finding]:
    """Yield what training a model will compute, and how long that takes if it fits the device."""
    try:
        compute = resolve_compute(ComputeSettings())
        planned, source = planned_training(catalogue, model, compute)
        yield from _findings(str(model), planned, source, fits=fits)
    except StyledagError as exc:
        yield Finding(f"{model}: training", False, str(exc))


def _findings(
    model: str, planned: "PlannedTraining", source: str, *, fits: bool
) -> Iterator[Finding]:
    from styledag.training.estimating.estimate import estimate_training

    estimate = estimate_training(planned)
    yield Finding(
        f"{model}: parameters",
        True,
        f"{_count(estimate.parameters)}, of which {_count(estimate.trained)} are trained",
    )
    yield Finding(f"{model}: steps", True, _steps(planned, estimate, source))
    yield Finding(f"{model}: operations", True, _operations(estimate))
    if fits:
        yield Finding(f"{model}: time", True, _time(planned, estimate))


def _steps(planned: "PlannedTraining", estimate: "Estimate", source: str) -> str:
    recipe = planned.recipe
    held_out = f" and {planned.validation} held out" if planned.validation else ""
    shapes = ", ".join("x".join(str(side) for side in shape) for shape in sorted(planned.latents))
    accumulated = recipe.gradient_accumulation
    microsteps = f" in {accumulated} microsteps" if accumulated > 1 else ""
    return (
        f"{estimate.steps} of {recipe.batch_size * accumulated} images{microsteps}: "
        f"{recipe.epochs} epochs of {planned.train} images{held_out} ({source}), "
        f"latents {shapes}"
    )


def _operations(estimate: "Estimate") -> str:
    return (
        f"an image {_gflop(estimate.flops_forward)} forward and {_gflop(estimate.flops)} with the "
        f"backward pass; once, {_gflop(estimate.flops_encode)} to encode it and "
        f"{_gflop(estimate.flops_caption)} for its caption"
    )


def _time(planned: "PlannedTraining", estimate: "Estimate") -> str:
    from styledag.training.estimating.throughput import measure_throughput, predict_time

    throughput = measure_throughput(planned)
    predicted = predict_time(estimate, throughput)
    return (
        f"about {_duration(predicted.total_s)}: training {_duration(predicted.training_s)} "
        f"({estimate.images / predicted.training_s:.3g} images/s), encoding "
        f"{_duration(predicted.encoding_s)}, validation {_duration(predicted.validation_s)}; if "
        f"all layers run at the {throughput.flops_per_s / 1e12:.3g} TFLOP/s that the base's first "
        f"blocks were just measured to run at on {planned.compute.device}, uncompiled"
    )


def _count(number: int) -> str:
    return f"{number / 1e6:.2f} million"


def _gflop(flops: int) -> str:
    return f"{flops / 1e9:,.3g} GFLOP" if flops < 1e12 else f"{flops / 1e9:,.0f} GFLOP"


def _duration(seconds: float) -> str:
    if seconds >= _HOUR_S:
        return f"{seconds / _HOUR_S:.1f} h"
    if seconds >= _MINUTE_S:
        return f"{seconds / _MINUTE_S:.1f} min"
    return f"{seconds:.1f} s"
