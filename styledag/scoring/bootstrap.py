"""Confidence intervals by resampling prompts (Efron 1979, the percentile bootstrap)."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from styledag.randomness import seed_for

RESAMPLES = 1_000
COVERAGE = 0.95

Counts = NDArray[np.int64]


def units_of(prompts: Sequence[str], seeds: Sequence[int]) -> Counts:
    """Return the number of each sample's unit, which is resampled as a whole.

    The unit is the prompt, all of its seeds together; with a single prompt, the seed.
    """
    units: Sequence[str | int] = prompts if len(set(prompts)) > 1 else seeds
    kinds = sorted(set(units), key=str)
    return np.array([kinds.index(unit) for unit in units], np.int64)


def bootstrap(
    statistic: Callable[[Counts], float | None],
    prompts: Sequence[str],
    seeds: Sequence[int],
    name: str,
) -> tuple[float | None, float | None]:
    """Return the ends of the 95 % percentile interval of a statistic of samples.

    Whole prompts are resampled, all of their seeds together, since another choice of prompts is
    what would change the figure most; with a single prompt, seeds are.

    Args:
        statistic: Figure of the samples, each taken as often as the counts say; ``None`` leaves
            a resample out.
        prompts: The prompt of each sample.
        seeds: The seed of each sample.
        name: What the interval is for; the resamples follow from it alone, so that the intervals
            of two models rest on the same choices of prompts.

    Returns:
        Both ends, or ``None`` twice where nothing can be resampled, or a single choice of prompts
        gives a figure, as of a distance between two: that shows no error, and not that there is
        none.
    """
    units = units_of(prompts, seeds)
    kinds = len(set(units.tolist()))
    if kinds < 2:
        return None, None
    random = np.random.default_rng(seed_for("bootstrap", name))
    drawn = random.integers(0, kinds, (RESAMPLES, kinds))
    figures, choices = [], set()
    for choice in drawn:
        counts = np.bincount(choice, minlength=kinds)
        figure = statistic(counts[units])
        if figure is not None:
            figures.append(figure)
            choices.add(counts.tobytes())
    if len(choices) < 2:
        return None, None
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(figures, [tail, 1 - tail])
    return float(low), float(high)


def weighted_mean(values: NDArray[np.float64]) -> Callable[[Counts], float | None]:
    """Return the mean of values as a statistic for :func:`bootstrap`."""

    def statistic(counts: Counts) -> float:
        return float((counts * values).sum() / counts.sum())

    return statistic
