"""Whether a score knows this style at all: it must tell the style's images from other images.

The *discrimination gap* of a score is how much nearer to the training images it finds images of the
style that were held out than images that are not of the style: the base's own, and those of other
styles. Where its interval holds zero, the score cannot tell, and its figures say nothing about the
style.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np

from styledag.images.similarity import Float32
from styledag.scoring.bootstrap import Counts, bootstrap
from styledag.scoring.records import Estimate, rounded
from styledag.scoring.style import Float64

NEIGHBOURS = 10


def embedding_nearness(images: Float32, training: Float32, others: Float32) -> Float64:
    """Return how near each image is to the training images, corrected for crowding, [n].

    The mean over training images of cross-domain similarity local scaling (CSLS), Conneau et al.
    2018, "Word Translation Without Parallel Data", equation 3: ``2 cos(x, t) - r(x) - r(t)``,
    where ``r`` is the mean cosine to the nearest neighbours among all images. Plain cosines are
    highest for images that are near to everything, whatever their style.

    Args:
        images: Unit embeddings. # [n, d]
        training: Unit embeddings of the training images. # [m, d]
        others: Unit embeddings of further images among which neighbours are looked for. # [k, d]
    """
    pool = np.concatenate([training, others]).astype(np.float64)
    cosines = images.astype(np.float64) @ training.astype(np.float64).T
    nearness = 2 * cosines.mean(1) - _density(images, pool) - _density(training, pool).mean()
    return cast(Float64, nearness)


def discrimination_gap(
    style: Float64, others: Float64, groups: Sequence[str], other_groups: Sequence[str], name: str
) -> Estimate:
    """Return how much higher a score is for held-out images of the style than for others.

    Args:
        style: The score of each held-out image. # [n]
        others: The score of each other image. # [k]
        groups: The family of each held-out image; families are resampled together, or single
            images where all are of one.
        other_groups: The prompt of each other image, likewise.
        name: The score's, which the resamples follow from.
    """
    if len(style) < 2 or len(others) < 2:
        return Estimate()
    values = np.concatenate([style, others])
    is_style = np.arange(len(values)) < len(style)

    def gap(counts: Counts) -> float | None:
        of_style, of_others = counts * is_style, counts * ~is_style
        if not of_style.any() or not of_others.any():
            return None
        means = [(times * values).sum() / times.sum() for times in (of_style, of_others)]
        return float(means[0] - means[1])

    units = [
        f"{side} {unit}"
        for side, own in (("style", groups), ("other", other_groups))
        for unit in (own if len(set(own)) > 1 else range(len(own)))
    ]
    low, high = bootstrap(gap, units, range(len(values)), f"gap {name}")
    return Estimate(rounded(gap(np.ones(len(values), np.int64))), rounded(low), rounded(high))


def least(gaps: Sequence[Estimate]) -> Estimate:
    """Return the gap to the images that a score tells the style's from worst.

    A mean over all would be that of the kind of which there are most, so that a score which takes
    another artist for this one could pass by what the base draws.
    """
    if any(each.low is None for each in gaps):
        return Estimate()
    return min(gaps, key=lambda each: each.low or 0.0)


def _density(images: Float32, pool: Float64) -> Float64:
    """Return each image's mean cosine to its nearest neighbours, other than itself, [n]."""
    cosines = images.astype(np.float64) @ pool.T
    # An image of the pool is its own nearest; so is a copy of one, which is no neighbour either.
    cosines[cosines > 1 - 1e-6] = -1.0
    count = min(NEIGHBOURS, len(pool) - 1)
    return cast(Float64, np.sort(cosines, axis=1)[:, -count:].mean(1))
