"""How near samples come to a style: maximum mean discrepancies (MMD) of their embeddings.

Both are the squared MMD between two sets of unit embeddings, times 1000. They differ in the kernel:

- CMMD: ``k(x, y) = exp(-|x - y|^2 / (2 sigma^2))``, ``sigma = 10``; Jayasumana, Ramalingam, Veit,
  Glasner, Chakrabarti, Kumar, "Rethinking FID: Towards a Better Evaluation Metric for Image
  Generation", CVPR 2024, equation 4. That is so wide that only the means of the sets count.
- KID: ``k(x, y) = (x . y / d + 1)^3``; Binkowski, Sutherland, Arbel, Gretton, "Demystifying MMD
  GANs", ICLR 2018, section 4, on the scorer's embeddings in place of Inception's. It also sees
  differences in the spread and the skewness of the sets.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from styledag.images.similarity import Float32

Float64 = NDArray[np.float64]

Kernel = Callable[[Float32, Float32], Float64]
"""Returns the kernel of every x of the first set and y of the second: [n, d], [m, d] => [n, m]."""

SIGMA = 10.0
SCALE = 1_000.0


def rbf_kernel(first: Float32, second: Float32, sigma: float = SIGMA) -> Float64:
    """Return ``exp(-|x - y|^2 / (2 sigma^2))`` for every x and y, [n, m].

    Args:
        first: [n, d].
        second: [m, d].
        sigma: Bandwidth of the kernel.
    """
    left, right = first.astype(np.float64), second.astype(np.float64)
    squared = (left**2).sum(1)[:, None] + (right**2).sum(1)[None, :] - 2 * left @ right.T
    return cast(Float64, np.exp(-np.maximum(squared, 0) / (2 * sigma**2)))


def polynomial_kernel(first: Float32, second: Float32) -> Float64:
    """Return KID's ``(x . y / d + 1)^3`` for every x and y scaled to the length sqrt(d), [n, m].

    KID divides by d for features whose elements are about 1, as Inception's are. With vectors of
    length 1 the kernel would be all but linear, and KID a multiple of CMMD.

    Args:
        first: Unit embeddings [n, d].
        second: Unit embeddings [m, d].
    """
    kernel: Float64 = (first.astype(np.float64) @ second.astype(np.float64).T + 1) ** 3
    return kernel


class StyleDistance:
    """The squared MMD from one set of samples to one reference, also of parts of the samples.

    The estimate is the unbiased one, without each image's likeness to itself: the biased one
    falls with the number of samples, and sets of few samples are the rule here. It may be slightly
    negative where the two sets are alike. It is the mean over all subsets of any one size, of
    which KID is often computed on some.

    Args:
        samples: Unit embeddings [n, d]; at least 2.
        reference: Unit embeddings [m, d]; at least 2.
        kernel: CMMD's or KID's.
        units: Number of each sample's unit, which is taken as a whole, such as its prompt; each
            sample is its own when left out.

    Raises:
        ValueError: If one of the sets has less than 2 images.
    """

    def __init__(
        self,
        samples: Float32,
        reference: Float32,
        kernel: Kernel = rbf_kernel,
        units: NDArray[np.int64] | None = None,
    ) -> None:
        if min(len(samples), len(reference)) < 2:
            raise ValueError(
                f"an unbiased MMD needs 2 images on each side, not {len(samples)} and "
                f"{len(reference)}"
            )
        within = kernel(samples, samples)
        numbers = np.arange(len(samples)) if units is None else units
        others = numbers[:, None] != numbers[None, :]
        same = ~others & ~np.eye(len(samples), dtype=bool)
        self._apart, self._apart_pairs = within * others, others.astype(np.float64)
        self._together, self._together_pairs = (within * same).sum(1), same.sum(1)
        self._share_together = same.sum() / (same.sum() + others.sum())
        self._across = kernel(samples, reference).mean(1)
        self._reference = _mean_off_diagonal(kernel(reference, reference))

    def __call__(self, counts: NDArray[np.int64] | None = None) -> float | None:
        """Return the distance of the samples, each taken ``counts`` times; all once by default.

        A unit that is taken twice is not compared with itself, and pairs within units weigh as much
        as among all samples: otherwise the sets of a resample would seem narrower than they are,
        and their distances too large.

        Returns:
            The distance, or ``None`` if fewer than 2 different units are taken.
        """
        times = np.ones(len(self._apart)) if counts is None else counts.astype(np.float64)
        apart = times @ self._apart_pairs @ times
        if apart <= 0:
            return None
        within = (1 - self._share_together) * (times @ self._apart @ times) / apart
        if self._share_together:
            together = (times @ self._together) / (times @ self._together_pairs)
            within += self._share_together * together
        across = times @ self._across / times.sum()
        return float(SCALE * (within + self._reference - 2 * across))


def style_gain(distance: float, base_distance: float) -> float | None:
    """Return the share of the base's distance to the style that a model has covered.

    ``1 - distance / base_distance``: 0 is as far as the base, 1 is no further from the held-out
    images than they are from one another, below 0 is further away than the base.

    Args:
        distance: CMMD of the model.
        base_distance: CMMD of the base.

    Returns:
        The share, or ``None`` if the base is in the style already, at no distance.
    """
    return 1 - distance / base_distance if base_distance > 0 else None


def _mean_off_diagonal(kernel: Float64) -> float:
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))
