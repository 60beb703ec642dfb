"""Style learned and base remembered: every candidate judged by the base's own denoising loss."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from styledag.bases.base import Tokens
from styledag.sampling.weights import Weights
from styledag.scoring.base_remembered import base_remembered
from styledag.scoring.bootstrap import Counts, bootstrap
from styledag.scoring.denoising_loss import DenoisingLosses, NoisedImage
from styledag.scoring.records import BaseScores, Candidate, Estimate, rounded
from styledag.scoring.style import Float64
from styledag.scoring.style_learned import style_learned

Measure = Callable[[Float64, Float64], Callable[[Counts], float | None]]


@dataclass(frozen=True, kw_only=True)
class JudgedBy:
    """What candidates are judged by.

    Attributes:
        base: The base's own weights.
        heldout: Images of the style that training never saw; style is not measured by fewer
            than 2.
        own: The base's images of what the style does not show.
        losses: Computes losses.
    """

    base: Weights
    heldout: Sequence[NoisedImage]
    own: Sequence[NoisedImage]
    losses: DenoisingLosses


def scores_by_base(candidates: Sequence[Candidate], by: JudgedBy) -> Mapping[str, BaseScores]:
    """Return style learned and base remembered of each candidate by its name.

    Args:
        candidates: Blends and checkpoints, and the base under a style prompt. One without weights
            has neither score.
        by: What they are judged by.

    Raises:
        DeviceError: If the device's memory does not suffice for a batch.
        ModelError: If a denoiser cannot be loaded, or gives NaN.
        StyleFileError: If a text is longer than the base reads.
    """
    heldout, own, losses = by.heldout if len(by.heldout) > 1 else [], by.own, by.losses
    images = [*heldout, *own]
    left = 1 + sum(each.weights is not None for each in candidates)
    base_losses = losses.of(by.base, images, planned=left)
    scores = {}
    for candidate in candidates:
        if candidate.weights is None:
            scores[candidate.name] = BaseScores(
                style_learned=Estimate(), base_remembered=Estimate()
            )
            continue
        told = [replace(each, text=_told(candidate, each.text, losses.tokens)) for each in images]
        left -= 1
        found = _losses(candidate, losses).of(candidate.weights, told, planned=left)
        split = len(heldout)
        scores[candidate.name] = BaseScores(
            style_learned=_estimate(
                "style_learned", style_learned, heldout, found[:split], base_losses[:split]
            ),
            base_remembered=_estimate(
                "base_remembered", base_remembered, own, found[split:], base_losses[split:]
            ),
        )
    return scores


def _losses(candidate: Candidate, losses: DenoisingLosses) -> DenoisingLosses:
    own = candidate.base
    return losses if own is None else losses.with_base(own.parts, own.base_version)


def _told(candidate: Candidate, text: str, tokens: Tokens) -> str:
    """Return what the base is told of an image, whose caption gives way to a style prompt."""
    words = text.split(" ")
    while words and tokens.count(candidate.told(" ".join(words))) > tokens.limit:
        words.pop()
    return candidate.told(" ".join(words))


def _estimate(
    name: str,
    measure: Measure,
    images: Sequence[NoisedImage],
    losses: Float64,
    base_losses: Float64,
) -> Estimate:
    if not images:
        return Estimate()
    statistic = measure(losses, base_losses)
    low, high = bootstrap(statistic, [each.group for each in images], range(len(images)), name)
    value = statistic(np.ones(len(images), np.int64))
    return Estimate(rounded(value), rounded(low), rounded(high))
