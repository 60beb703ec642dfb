"""The loss over training: each step's, the epochs' means and the validation split's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from styledag.report.chart import Axis, axis, chart, element, polyline, x_px, y_px
from styledag.report.model import LossLog, SnapshotSection
from styledag.report.wording import number

MAX_BINS = 80
"""Points that a long log is drawn with; each is the mean of equally many steps."""


@dataclass(frozen=True)
class _Bin:
    epoch: float
    mean: float
    low: float
    high: float


def loss_chart(log: LossLog, snapshots: Sequence[SnapshotSection]) -> Markup | None:
    """Return the curve as SVG, or ``None`` where no loss is known.

    Losses that are not finite are left out.
    """
    bins = _bins(log)
    train = [(each.epoch, each.loss) for each in snapshots if _finite(each.loss)]
    validation = [
        (each.epoch, each.validation_loss) for each in snapshots if _finite(each.validation_loss)
    ]
    losses = [*(each.mean for each in bins), *(loss for _, loss in train if loss is not None)]
    losses += [loss for _, loss in validation if loss is not None]
    if not losses:
        return None
    epochs = [0.0, *(each.epoch for each in bins), *(float(epoch) for epoch, _ in train)]
    epochs += [float(epoch) for epoch, _ in validation]
    x = axis("Epoch", epochs, pad=0.015, whole=max(epochs) >= 2)
    y = axis("Loss", [*losses, *_band_limits(bins)])
    marks: list[Markup] = []
    if bins:
        marks += [_band(bins, x, y), _line([(each.epoch, each.mean) for each in bins], x, y)]
    marks += _series(train, x, y, "train", with_line=not bins)
    marks += _series(validation, x, y, "validation", with_line=True)
    return chart("loss-chart", "img", _description(train, validation), x, y, *marks)


def not_finite(log: LossLog) -> int:
    """Return how many steps have a loss that is infinite or not a number."""
    return sum(not math.isfinite(loss) for loss in log.losses)


def _finite(loss: float | None) -> bool:
    return loss is not None and math.isfinite(loss)


def _bins(log: LossLog) -> list[_Bin]:
    logged = [
        (step / log.steps_per_epoch, loss)
        for step, loss in zip(log.steps, log.losses, strict=True)
        if math.isfinite(loss)
    ]
    size = max(1, math.ceil(len(logged) / MAX_BINS))
    bins = []
    for first in range(0, len(logged), size):
        epochs, losses = zip(*logged[first : first + size], strict=True)
        ordered = sorted(losses)
        tail = len(ordered) // 10
        mean = sum(losses) / len(losses)
        bins.append(_Bin(sum(epochs) / len(epochs), mean, ordered[tail], ordered[-1 - tail]))
    return bins


def _band_limits(bins: Sequence[_Bin]) -> list[float]:
    """Return how far the band may stretch the axis: single outliers do not."""
    ends = sorted(value for each in bins for value in (each.low, each.high))
    cut = len(ends) // 50
    return ends[cut : len(ends) - cut]


def _band(bins: Sequence[_Bin], x: Axis, y: Axis) -> Markup:
    upper = [(each.epoch, min(each.high, y.high)) for each in bins]
    lower = [(each.epoch, max(each.low, y.low)) for each in reversed(bins)]
    points = " ".join(f"{x_px(x, at):.1f},{y_px(y, loss):.1f}" for at, loss in [*upper, *lower])
    return element("polygon", points=points, class_="band")


def _line(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> Markup:
    return polyline([(x_px(x, at), y_px(y, loss)) for at, loss in points], "line train")


def _series(
    points: Sequence[tuple[int, float | None]], x: Axis, y: Axis, name: str, *, with_line: bool
) -> list[Markup]:
    placed = [
        (epoch, loss, x_px(x, epoch), y_px(y, loss)) for epoch, loss in points if loss is not None
    ]
    marks = []
    if with_line and len(placed) > 1:
        marks.append(polyline([(at_x, at_y) for _, _, at_x, at_y in placed], f"line {name}"))
    lowest = min(placed, key=lambda each: (each[1], each[0]), default=None)
    for point in placed:
        epoch, loss, at_x, at_y = point
        best = name == "validation" and len(placed) > 1 and point == lowest
        said = f"{name}, epoch {epoch}: loss {number(loss, 4)}{', the lowest' if best else ''}"
        title = element("title", said)
        if name == "train":
            mark = element("circle", title, cx=at_x, cy=at_y, r=4.5, class_=f"dot {name}")
        else:
            corner = {"x": at_x - 4.2, "y": at_y - 4.2, "width": 8.4, "height": 8.4}
            shape = f"dot {name}{' lowest' if best else ''}"
            mark = element("rect", title, **corner, class_=shape)
        marks.append(mark)
    return marks


def _description(
    train: Sequence[tuple[int, float | None]], validation: Sequence[tuple[int, float | None]]
) -> str:
    parts = []
    for name, points in (("training", train), ("validation", validation)):
        if points:
            (first, first_loss), (last, last_loss) = points[0], points[-1]
            parts.append(
                f"{name} loss {number(first_loss, 4)} at epoch {first}, "
                f"{number(last_loss, 4)} at epoch {last}"
            )
    return "Loss over the epochs: " + ("; ".join(parts) or "training loss, step by step")
