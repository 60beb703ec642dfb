"""Whether samples are copies of training images, measured against what is usual."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styledag.images.similarity import Float32
from styledag.scoring.style import Float64


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of each image.

    Attributes:
        index: Its row, [n].
        similarity: Cosine to it, [n].
    """

    index: NDArray[np.int64]
    similarity: Float64


def nearest(images: Float32, training: Float32) -> Nearest:
    """Return the nearest training image of each image.

    Args:
        images: Unit embeddings [n, d].
        training: Unit embeddings [m, d], at least one.
    """
    similarity = images.astype(np.float64) @ training.astype(np.float64).T  # [n, m]
    index = similarity.argmax(1)
    return Nearest(index, similarity[np.arange(len(images)), index])


def copying_threshold(heldout: Float32, training: Float32, percentile: float) -> float:
    """Return the similarity above which an image counts as a copy.

    Held-out images are of the style and were not trained on: how near they come to a training
    image is what honest images do. The limit is the ``percentile`` of their distances to the
    nearest: a sample that is nearer than that, more similar than the result, is called a copy.

    Args:
        heldout: Unit embeddings [n, d], at least one.
        training: Unit embeddings [m, d], at least one.
        percentile: 0 to 100.
    """
    distances = 1 - nearest(heldout, training).similarity
    return float(1 - np.percentile(distances, percentile))
