"""What each image counts, so that a large family of near-duplicates does not take over."""

from collections import Counter
from collections.abc import Sequence

from styledag.training.encoding.dataset import EncodedSample


def family_weights(samples: Sequence[EncodedSample], family_weighting: float) -> dict[str, float]:
    """Return weights by sample id, whose mean over the samples is 1.

    An image counts ``(1 / n) ** family_weighting``, up to the common factor, where n is the number
    of the family's images among the samples: with 0 every image alike, with 1 every family
    alike, with 0.5 a family as the root of its size.

    Args:
        samples: The training split.
        family_weighting: 0 to 1.
    """
    sizes = Counter(_family(sample) for sample in samples)
    weights = {sample.id: sizes[_family(sample)] ** -family_weighting for sample in samples}
    mean = sum(weights.values()) / max(1, len(weights))
    return {sample_id: weight / mean for sample_id, weight in weights.items()}


def _family(sample: EncodedSample) -> str:
    return sample.family or sample.id
