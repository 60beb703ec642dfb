"""How much the images of one prompt differ between seeds."""

from collections.abc import Sequence

import numpy as np

from styledag.images.similarity import Float32


def diversity(samples: Float32, prompts: Sequence[str]) -> float | None:
    """Return the mean cosine distance between two seeds of one prompt, averaged over prompts.

    0 is the same image for every seed.

    Args:
        samples: Unit embeddings [n, d].
        prompts: The prompt of each row.

    Returns:
        The distance, 0 to 2, or ``None`` if no prompt has two seeds.
    """
    means = []
    for prompt in sorted(set(prompts)):
        own = samples[[each == prompt for each in prompts]].astype(np.float64)
        count = len(own)
        if count < 2:
            continue
        similarity = own @ own.T
        between = (similarity.sum() - np.trace(similarity)) / (count * (count - 1))
        means.append(1 - between)
    return float(np.mean(means)) if means else None
