"""How much of what the base knew survives: the subjects that the prompts ask for."""

import numpy as np

from styledag.images.similarity import Float32
from styledag.scoring.style import Float64


def retention(samples: Float32, base_samples: Float32) -> Float64:
    """Return how like each sample is to the base's own of the same prompt and seed, [n].

    The cosine of CLIP embeddings, -1 to 1; 1 is the base's own image. Style moves it as well as
    subject does, so it falls with style even where the subject survives: it is to be read beside
    the style, and the text similarity beside it.

    Args:
        samples: Unit embeddings [n, d].
        base_samples: Unit embeddings [n, d], row by row of the same prompt and seed.
    """
    return _cosines(samples, base_samples)


def text_similarity(samples: Float32, prompts: Float32) -> Float64:
    """Return how well each sample shows its prompt, [n]: CLIP's cosine of image and text.

    Hessel et al. 2021 (CLIPScore), without the factor 2.5 and without cutting off at 0.

    Args:
        samples: Unit embeddings of images [n, d].
        prompts: Unit embeddings of texts [n, d], row by row the sample's prompt.
    """
    return _cosines(samples, prompts)


def text_retention(similarity: float, base_similarity: float) -> float | None:
    """Return a model's mean text similarity over the base's.

    1 is as much as the base showed. It is ``None`` where the base's mean is not above 0: such a
    scorer sees nothing of the prompts in the base's images, and a ratio would mean nothing.
    """
    return similarity / base_similarity if base_similarity > 0 else None


def _cosines(first: Float32, second: Float32) -> Float64:
    cosines: Float64 = (first.astype(np.float64) * second.astype(np.float64)).sum(1)
    return cosines
