"""The frame of a chart as inline SVG: axes, grid, labels; colours come from the page's CSS."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 370
"""Size of every chart in its own units; the page scales it."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 16, 52
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_WHOLE_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A linear scale with round ticks.

    Attributes:
        label: What it shows, with the unit.
        low: Value at its start.
        high: Value at its end, above ``low``.
        ticks: Values that are labelled.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies, 0 to 1 within it."""
        return (value - self.low) / (self.high - self.low)


def axis(label: str, values: Iterable[float], *, pad: float = 0.06, whole: bool = False) -> Axis:
    """Return an axis that holds all finite values.

    Args:
        label: What it shows.
        values: Values to hold; an axis of none goes from 0 to 1.
        pad: Room left at both ends, as a share of the span.
        whole: Label whole numbers only.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    room = pad * (high - low)
    low, high = low - room, high + room
    step = (
        _step(max(1.0, (high - low) / 6), _WHOLE_STEPS)
        if whole
        else _step((high - low) / 5, _STEPS)
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple(round(index * step, 10) for index in range(first, last + 1))
    return Axis(label=label, low=low, high=high, ticks=ticks)


def x_px(scale: Axis, value: float) -> float:
    """Return where a value lies from the left, in the chart's units."""
    return _LEFT + scale.share(value) * (WIDTH - _LEFT - _RIGHT)


def y_px(scale: Axis, value: float) -> float:
    """Return where a value lies from the top, in the chart's units."""
    return HEIGHT - _BOTTOM - scale.share(value) * (HEIGHT - _TOP - _BOTTOM)


def inside(x: float, y: float, width: float, height: float) -> bool:
    """Return whether a box lies within the axes; corner and size in the chart's units."""
    return (
        x >= _LEFT
        and y >= _TOP
        and x + width <= WIDTH - _RIGHT / 2
        and y + height <= HEIGHT - _BOTTOM
    )


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Return one SVG element; text and attributes are escaped.

    Args:
        name: Tag.
        *children: Markup goes in as it is, plain text escaped.
        **attributes: ``class_`` gives ``class`` and ``stroke_width`` gives ``stroke-width``.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_written(value))}"'
        for key, value in attributes.items()
    )
    inner = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{written}>{inner}</{name}>")


def polyline(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """Return a line through points in the chart's units."""
    shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", points=shown, class_=class_)


def chart(name: str, role: str, description: str, x: Axis, y: Axis, *marks: Markup) -> Markup:
    """Return a whole chart.

    Args:
        name: Unique in the page; the elements that name the chart for screen readers are called
            after it.
        role: ``img``, or ``group`` where marks are links.
        description: What it shows, in a sentence, for who can't see it.
        x: Horizontal axis.
        y: Vertical axis.
        *marks: What is drawn, the hindmost first.
    """
    return element(
        "svg",
        element("title", description, id=f"{name}-title"),
        _grid(x, y),
        *marks,
        class_=f"chart {name}",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role=role,
        aria_labelledby=f"{name}-title",
    )


def _grid(x: Axis, y: Axis) -> Markup:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts: list[Markup] = []
    for tick, shown in zip(y.ticks, _tick_texts(y.ticks), strict=True):
        at = y_px(y, tick)
        parts.append(element("line", x1=_LEFT, x2=right, y1=at, y2=at, class_="grid"))
        parts.append(element("text", shown, x=_LEFT - 9, y=at + 4.5, class_="tick end"))
    for tick, shown in zip(x.ticks, _tick_texts(x.ticks), strict=True):
        at = x_px(x, tick)
        parts.append(element("line", x1=at, x2=at, y1=bottom, y2=bottom + 5, class_="axis"))
        parts.append(element("text", shown, x=at, y=bottom + 20, class_="tick middle"))
    parts.append(element("line", x1=_LEFT, x2=right, y1=bottom, y2=bottom, class_="axis"))
    middle = (_TOP + bottom) / 2
    parts.append(
        element("text", x.label, x=(_LEFT + right) / 2, y=HEIGHT - 8, class_="label middle")
    )
    turned = f"rotate(-90 14 {middle:.1f})"
    parts.append(element("text", y.label, x=14, y=middle, transform=turned, class_="label middle"))
    return element("g", *parts, aria_hidden="true")


def _tick_texts(ticks: tuple[float, ...]) -> list[str]:
    for digits in range(7):
        if all(abs(round(tick, digits) - tick) < 1e-9 for tick in ticks):
            break
    return [f"{tick:.{digits}f}".replace("-", "\N{MINUS SIGN}") for tick in ticks]


def _step(raw: float, steps: tuple[float, ...]) -> float:
    magnitude = 10.0 ** math.floor(math.log10(raw))
    return next(each * magnitude for each in steps if each * magnitude >= raw * (1 - 1e-9))


def _written(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
