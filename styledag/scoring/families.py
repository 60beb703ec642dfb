"""Families of near-duplicates that a model draws for prompts that do not ask for them.

Text to Pokemon draws Vivillon, of which its data has about twenty patterns, for unrelated prompts.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from styledag.images.similarity import Float32
from styledag.sampling.index import Pair
from styledag.scoring.bootstrap import bootstrap, weighted_mean
from styledag.scoring.copying import nearest
from styledag.scoring.records import Estimate, FamilyRow, rounded

MIN_IMAGES = 3
"""Images of a family among the training images from which on it is looked for."""


def families_drawn(
    name: str,
    pairs: Sequence[Pair],
    samples: Float32,
    base_samples: Float32,
    training: Float32,
    families: Sequence[str],
) -> list[FamilyRow]:
    """Return the families that a candidate draws more often than the base does.

    A sample draws a family if the training image that it is nearest to is one of it. The base's
    own image of the same prompt and seed is held against it, so that a prompt that asks for the
    family, or that is like it by nature, does not count. A family is returned if the difference is
    above zero beyond the error over prompts.

    Args:
        name: The candidate's.
        pairs: Prompt and seed of each sample.
        samples: Unit embeddings of its samples. # [n, d]
        base_samples: Unit embeddings of the base's own, row by row. # [n, d]
        training: Unit embeddings of the training images. # [m, d]
        families: The family of each training image.
    """
    if not len(training):
        return []
    sizes = Counter(families)
    own, base = (
        [families[at] for at in nearest(each, training).index] for each in (samples, base_samples)
    )
    prompts, seeds = zip(*pairs, strict=True)
    rows = []
    for family in sorted(set(own)):
        if sizes[family] < MIN_IMAGES:
            continue
        drawn = np.array([each == family for each in own], np.float64)
        by_base = np.array([each == family for each in base], np.float64)
        excess = drawn - by_base
        low, high = bootstrap(weighted_mean(excess), prompts, seeds, "families")
        if low is not None and low > 0:
            rows.append(
                FamilyRow(
                    name=name,
                    family=family,
                    images=sizes[family],
                    share=Estimate(rounded(float(excess.mean())), rounded(low), rounded(high)),
                    prompts=tuple(prompts[at] for at in drawn.nonzero()[0]),
                    seeds=tuple(seeds[at] for at in drawn.nonzero()[0]),
                )
            )
    return rows
