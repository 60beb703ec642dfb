"""The models that none beats in style and retention at once, and the one to take."""

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]
"""Style and retention; more is better of both."""

RULE = (
    "the highest harmonic mean of {style} and retention, each scaled so that the worst of all "
    "blends and checkpoints is 0 and the best 1; of equals the one with the least fine-tune, and "
    "never the base itself"
)
"""``style`` is what stands for it."""


def pareto_front(points: Sequence[Point]) -> list[bool]:
    """Return for each point whether no other is at least as good in both and better in one."""
    return [
        not any(
            other[0] >= point[0] and other[1] >= point[1] and other != point for other in points
        )
        for point in points
    ]


def balances(points: Sequence[Point]) -> list[float]:
    """Return the harmonic mean of scaled style and retention for each point, 0 to 1.

    A figure that is the same for all points says nothing and counts as 1 for each.
    """
    if not points:
        return []
    table = np.array(points, dtype=np.float64)  # [n, 2]
    low, spread = table.min(0), np.ptp(table, axis=0)
    scaled = np.where(spread > 0, (table - low) / np.where(spread > 0, spread, 1), 1.0)
    total = scaled.sum(1)
    return [
        float(2 * first * second / both) if both > 0 else 0.0
        for (first, second), both in zip(scaled, total, strict=True)
    ]


def recommended(points: Sequence[Point], amounts: Sequence[float]) -> int:
    """Return which point :data:`RULE` picks.

    Args:
        points: At least one.
        amounts: Share of the fine-tune in each, 0 to 1.
    """
    scores = [round(balance, 9) for balance in balances(points)]
    tuned = [place for place, amount in enumerate(amounts) if amount > 0] or range(len(points))
    return min(tuned, key=lambda place: (-scores[place], amounts[place], place))
