"""The models that none beats in style learned and base remembered, and the one to take."""

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]
"""Style learned and base remembered; more is better of both."""
BASE: Point = (0.0, 1.0)

RULE = (
    "the highest harmonic mean of style learned and base remembered, each scaled so that the worst "
    "of the base and all blends and checkpoints is 0 and the best 1; of equals the one with the "
    "least fine-tune, and none that learned no more than chance"
)


def pareto_front(points: Sequence[Point]) -> list[bool]:
    """Return for each point whether no other is at least as good in both and better in one."""
    return [
        not any(
            other[0] >= point[0] and other[1] >= point[1] and other != point for other in points
        )
        for point in points
    ]


def balances(points: Sequence[Point]) -> list[float]:
    """Return the harmonic mean of each point's figures, 0 to 1, scaled over all and the base.

    A figure that is the same for all says nothing and counts as 1 for each.
    """
    table = np.array([*points, BASE], dtype=np.float64)  # [n + 1, 2]
    low, spread = table.min(0), np.ptp(table, axis=0)
    scaled = np.where(spread > 0, (table - low) / np.where(spread > 0, spread, 1), 1.0)
    total = scaled.sum(1)
    return [
        float(2 * first * second / both) if both > 0 else 0.0
        for (first, second), both in zip(scaled[:-1], total[:-1], strict=True)
    ]


def recommended(
    balanced: Sequence[float], amounts: Sequence[float], eligible: Sequence[bool]
) -> int | None:
    """Return which point :data:`RULE` picks; ``None`` if none is eligible.

    Args:
        balanced: From :func:`balances`.
        amounts: Share of the fine-tune in each point, 0 to 1.
        eligible: Whether each has learned of the style beyond the error.
    """
    places = [place for place, may_be in enumerate(eligible) if may_be]
    return min(
        places,
        key=lambda place: (-round(balanced[place], 9), amounts[place], place),
        default=None,
    )
