"""Averages of any length, reconstructed after training from the two that were kept.

Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models"
(arXiv 2312.02696), section 3 and appendix C. An average with exponent gamma holds, after step t,
the weights of step tau with the share ``(gamma + 1) tau^gamma / t^(gamma + 1)``: its profile. Its
length is the standard deviation of the profile over tau, as a share of t.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from styledag.errors import TrainingError
from styledag.training.recipe import MAX_POWER_LENGTH, EmaSettings

Profile = tuple[float, float]
"""A profile's step t and its exponent gamma."""

DEFAULT_LENGTHS = (0.05, 0.1)
"""Relative lengths of the two averages that are kept, as in the paper."""

MAX_SNAPSHOTS = 32
"""More snapshots make a reconstruction no better, but its equations worse to solve."""
MAX_ERROR = 0.1
"""How far a reconstructed profile may be from the wanted one: their L2 distance over its norm."""
MAX_ROUNDING_GAIN = 8.0
"""How much a reconstruction may magnify float16's rounding, which is 1e-4 of a weight."""
_LENGTHS_OF_ONE = 1000


@dataclass(frozen=True)
class Reconstruction:
    """An average as a sum of stored ones.

    Attributes:
        coefficients: What each stored average counts, in their order; 1 in all.
        error: Distance of the reconstructed profile to the wanted one over its norm (L2).
        rounding_gain: How much it magnifies independent rounding errors of what is stored.
    """

    coefficients: tuple[float, ...]
    error: float
    rounding_gain: float

    @property
    def is_sound(self) -> bool:
        """Whether it is near enough to the wanted average."""
        return self.error <= MAX_ERROR and self.rounding_gain <= MAX_ROUNDING_GAIN


def power_lengths(settings: EmaSettings) -> tuple[float, float]:
    """Return the relative lengths of the two averages that mode ``power`` keeps."""
    return settings.lengths or DEFAULT_LENGTHS


def length_of(gamma: float) -> float:
    """Return the relative length of an average with an exponent of 0 or more."""
    return math.sqrt((gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)))


def gamma_of(length: float) -> float:
    """Return the exponent of an average with a relative length.

    It is the largest root of ``(gamma + 2)^2 (gamma + 3) = (gamma + 1) / length^2``.

    Args:
        length: Above 0 and at most 12^-0.5, the length of the mean of all steps (gamma 0).

    Raises:
        ValueError: If no average has such a length.
    """
    if not 0 < length <= 12**-0.5:
        raise ValueError(f"length {length!r} is not above 0 and at most {12**-0.5:.4f}")
    ratio = length**-2
    # From the right of the largest root, where the cubic is convex, Newton's method only falls.
    gamma = math.sqrt(ratio)
    while True:
        value = gamma**3 + 7 * gamma**2 + (16 - ratio) * gamma + 12 - ratio
        slope = 3 * gamma**2 + 14 * gamma + 16 - ratio
        nearer = gamma - value / slope
        if not nearer < gamma:
            return gamma
        gamma = nearer


def power_decay(step: int, gamma: float) -> float:
    """Return the share of the old average that an optimiser step keeps.

    Args:
        step: The optimiser step, counted from 1, where the share is 0.
        gamma: The average's exponent.
    """
    return float((1 - 1 / step) ** (gamma + 1))


def posthoc_weights(stored: Sequence[Profile], step: float, gamma: float) -> tuple[float, ...]:
    """Return what each stored average counts in the one that comes nearest to a wanted one.

    The least squares of the paper's algorithm 3, over the coefficients that sum to 1; the paper
    divides by the sum afterwards, which comes to the same where snapshots are many and is worse
    where they are few.

    Args:
        stored: The stored averages, each once.
        step: Optimiser step of the wanted average.
        gamma: Its exponent.
    """
    count = len(stored)
    equations = np.ones((count + 1, count + 1))
    equations[:count, :count] = _products(stored, stored) * step
    equations[count, count] = 0
    wanted = np.ones(count + 1)
    wanted[:count] = _products(stored, [(step, gamma)])[:, 0] * step
    return tuple(np.linalg.solve(equations, wanted)[:count].tolist())


def reconstruct(stored: Sequence[Profile], step: float, length: float) -> Reconstruction:
    """Return the best sum of stored averages for a wanted length, and how good it is."""
    gamma = gamma_of(length)
    wanted: list[Profile] = [(step, gamma)]
    coefficients = np.array(posthoc_weights(stored, step, gamma))
    norm = _products(wanted, wanted)[0, 0]
    square = (
        norm
        - 2 * coefficients @ _products(stored, wanted)[:, 0]
        + coefficients @ _products(stored, stored) @ coefficients
    )
    return Reconstruction(
        tuple(coefficients.tolist()),
        error=math.sqrt(max(float(square / norm), 0.0)),
        rounding_gain=float(np.linalg.norm(coefficients)),
    )


def require_length(stored: Sequence[Profile], step: float, length: float) -> Reconstruction:
    """Return the sum of stored averages for a length that they can give.

    Raises:
        TrainingError: If they cannot; it names the nearest length that they can.
    """
    found = reconstruct(stored, step, length)
    if found.is_sound:
        return found
    kept = sorted({length_of(gamma) for _, gamma in stored})
    raise TrainingError(
        f"length {length:g} cannot be reconstructed from {len(stored)} stored averages of lengths "
        f"{' and '.join(f'{each:.3g}' for each in kept)}: the profile would be off by "
        f"{found.error:.0%} (at most {MAX_ERROR:.0%}) and rounding would count "
        f"{found.rounding_gain:.1f} times (at most {MAX_ROUNDING_GAIN:g}); the nearest that can "
        f"is {nearest_length(stored, step, length):g}: ask for that one, keep averages of nearer "
        "lengths (ema.lengths), or more snapshots (snapshot_every_epochs, epochs)"
    )


def nearest_length(stored: Sequence[Profile], step: float, length: float) -> float:
    """Return the nearest length, in thousandths, that stored averages can give."""
    highest = int(MAX_POWER_LENGTH * _LENGTHS_OF_ONE)
    lengths = [thousandths / _LENGTHS_OF_ONE for thousandths in range(1, highest + 1)]
    lengths += [length_of(gamma) for at, gamma in stored if at == step]
    for each in sorted(lengths, key=lambda each: abs(each - length)):
        if reconstruct(stored, step, each).is_sound:
            return each
    raise TrainingError(f"no average was stored at step {step:g}, whose lengths are wanted")


def spread_snapshots(steps: Sequence[int]) -> list[int]:
    """Return the places of at most :data:`MAX_SNAPSHOTS` snapshots, evenly spread, the last in."""
    count = min(len(steps), MAX_SNAPSHOTS)
    return [(place + 1) * len(steps) // count - 1 for place in range(count)]


def _products(ours: Sequence[Profile], theirs: Sequence[Profile]) -> npt.NDArray[np.float64]:
    """Return the inner products of profiles, the integral over all steps: [len, len].

    Over the steps that both have: with ``t_a <= t_b`` it is ``(g_a + 1) (g_b + 1)
    (t_a / t_b)^g_b / ((g_a + g_b + 1) t_b)``.
    """
    step_a, gamma_a = (column[:, None] for column in np.array(ours, dtype=np.float64).T)
    step_b, gamma_b = (column[None, :] for column in np.array(theirs, dtype=np.float64).T)
    latest = np.maximum(step_a, step_b)
    ratio = np.minimum(step_a, step_b) / latest
    exponent = np.where(step_a <= step_b, gamma_b, gamma_a)
    products: npt.NDArray[np.float64] = (
        (gamma_a + 1) * (gamma_b + 1) * ratio**exponent / ((gamma_a + gamma_b + 1) * latest)
    )
    return products
