"""Style learned against base remembered: blends and checkpoints, with the Pareto front."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from styledag.report.chart import Axis, axis, chart, element, inside, polyline, x_px, y_px
from styledag.report.model import ModelReport
from styledag.report.wording import number, plain
from styledag.scoring.records import UNTRAINED, Estimate, ScoreRow

_CHAR_PX, _LINE_PX = 7.4, 15.0
_CORNERS = {
    "checkpoint": ((0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)),
    "prompt": ((0, -6.5), (6.5, 5), (-6.5, 5)),
}
_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Point:
    row: ScoreRow
    anchor: str
    x: float
    y: float
    recommended: bool


def score_chart(report: ModelReport) -> Markup | None:
    """Return the scatter as SVG, or ``None`` where no row has both scores.

    A point is a link to ``#score-N``, the row of the N-th score in the table.
    """
    scored = [
        (f"score-{index}", row)
        for index, row in enumerate(report.scores, start=1)
        if _known(row.style_learned.value) and _known(row.base_remembered.value)
    ]
    if not scored:
        return None
    rows = [row for _, row in scored]
    x = axis("Base remembered →", _extent(row.base_remembered for row in rows))
    y = axis("Style learned →", _extent(row.style_learned for row in rows))
    points = [_placed(anchor, row, x, y, report) for anchor, row in scored]
    front = sorted(
        (point for point in points if point.row.on_front), key=lambda point: (point.x, point.y)
    )
    marks: list[Markup] = [bar for point in points for bar in _bars(point, x, y)]
    if len(front) > 1:
        marks.append(polyline([(point.x, point.y) for point in front], "front"))
    marks += [_mark(point) for point in sorted(points, key=lambda point: point.recommended)]
    marks += _labels(points)
    return chart("scores-chart", "group", _description(points), x, y, *marks)


def row_key(row: ScoreRow) -> str:
    """Return what ties a row to its images."""
    return row.kind if row.kind in UNTRAINED else row.name


def row_label(row: ScoreRow) -> str:
    """Return the shortest name of a row."""
    if row.kind == "prompt":
        return "style prompt"
    if row.length is not None:
        return f"ema {row.length:.3f}"
    if row.weight is not None:
        return f"{row.weight:.2f}"
    return f"e{row.epoch}" if row.epoch is not None else plain(row.name.removeprefix("blend "), 12)


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _extent(scores: Iterable[Estimate]) -> Iterable[float]:
    for score in scores:
        yield from (end for end in (score.value, score.low, score.high) if end is not None)


def _placed(anchor: str, row: ScoreRow, x: Axis, y: Axis, report: ModelReport) -> _Point:
    recommended = report.is_recommended(row.name)
    at_x = x_px(x, row.base_remembered.value or 0.0)
    at_y = y_px(y, row.style_learned.value or 0.0)
    return _Point(row, anchor, at_x, at_y, recommended)


def _bars(point: _Point, x: Axis, y: Axis) -> list[Markup]:
    learned, remembered = point.row.style_learned, point.row.base_remembered
    bars = []
    if learned.low is not None and learned.high is not None:
        low, high = y_px(y, learned.low), y_px(y, learned.high)
        bars.append(element("line", x1=point.x, x2=point.x, y1=low, y2=high, class_="interval"))
    if remembered.low is not None and remembered.high is not None:
        low, high = x_px(x, remembered.low), x_px(x, remembered.high)
        bars.append(element("line", x1=low, x2=high, y1=point.y, y2=point.y, class_="interval"))
    return bars


def _mark(point: _Point) -> Markup:
    row = point.row
    told = (
        f"{plain(row.name)}: style learned {number(row.style_learned.value)}, "
        f"base remembered {number(row.base_remembered.value)}"
    )
    if point.recommended:
        told += ", recommended"
    parts = [element("title", told)]
    if point.recommended:
        parts.append(element("circle", cx=point.x, cy=point.y, r=11, class_="ring"))
    if row.kind == "blend":
        parts.append(element("circle", cx=point.x, cy=point.y, r=5.5, class_="dot blend"))
    else:
        corners = _CORNERS[row.kind]
        shown = " ".join(f"{point.x + dx:.1f},{point.y + dy:.1f}" for dx, dy in corners)
        parts.append(element("polygon", points=shown, class_=f"dot {row.kind}"))
    which = row_key(row)
    return element("a", *parts, href=f"#{point.anchor}", aria_label=told, data_stop=which)


def _labels(points: Sequence[_Point]) -> list[Markup]:
    """Label points where there is room; one without room is named by its title alone."""
    taken: list[_Box] = [(point.x - 6, point.y - 6, 12, 12) for point in points]
    labels = []
    for point in sorted(points, key=lambda point: (not point.recommended, not point.row.on_front)):
        text = row_label(point.row)
        box = _free_box(point, _CHAR_PX * len(text), taken)
        if box is None:
            continue
        taken.append(box)
        name = "point chosen" if point.recommended else "point"
        at = {"x": box[0], "y": box[1] + _LINE_PX - 3.5}
        labels.append(element("text", text, **at, class_=name, aria_hidden="true"))
    return labels


def _free_box(point: _Point, width: float, taken: Sequence[_Box]) -> _Box | None:
    gap = 13.0 if point.recommended else 8.5
    half = _LINE_PX / 2
    corners = (
        (point.x + gap, point.y - gap - half),
        (point.x + gap, point.y - half),
        (point.x + gap, point.y + gap - half),
        (point.x - gap - width, point.y + gap - half),
        (point.x - gap - width, point.y - half),
        (point.x - gap - width, point.y - gap - half),
        (point.x - width / 2, point.y - gap - _LINE_PX),
        (point.x - width / 2, point.y + gap),
    )
    for left, top in corners:
        box = (left, top, width, _LINE_PX)
        if inside(*box) and not any(_overlap(box, other) for other in taken):
            return box
    return None


def _overlap(one: _Box, other: _Box) -> bool:
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )


def _description(points: Sequence[_Point]) -> str:
    best_style = max(points, key=lambda point: point.row.style_learned.value or 0.0).row
    best_kept = max(points, key=lambda point: point.row.base_remembered.value or 0.0).row
    told = (
        f"Style learned against base remembered for {len(points)} models: "
        f"{plain(best_style.name)} has learned most, {plain(best_kept.name)} remembers most"
    )
    chosen = [plain(point.row.name) for point in points if point.recommended]
    return told + (f"; {chosen[0]} is recommended" if chosen else "")
