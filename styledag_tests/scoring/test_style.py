from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from styledag.scoring.bootstrap import Counts, bootstrap, units_of
from styledag.scoring.style import (
    Kernel,
    StyleDistance,
    polynomial_kernel,
    rbf_kernel,
    style_gain,
)
from styledag_tests.scoring.reference_mmd import CASES, sides
from styledag_tests.scoring.vectors import unit

EAST = np.array([[1.0, 0.0]] * 3, np.float32)
NORTH = np.array([[0.0, 1.0]] * 4, np.float32)


def cmmd(samples: np.ndarray, reference: np.ndarray, kernel: Kernel = rbf_kernel) -> float:
    distance = StyleDistance(samples, reference, kernel)()
    assert distance is not None
    return distance


def kid(samples: np.ndarray, reference: np.ndarray) -> float:
    return cmmd(samples, reference, polynomial_kernel)


def reference_cmmd(first: np.ndarray, second: np.ndarray) -> float:
    """Equation 4, sum by sum."""

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.exp(-cdist(x.astype(float), y.astype(float), "sqeuclidean") / 200)

    n, m = len(first), len(second)
    xx = sum(kernel(first, first)[i, j] for i in range(n) for j in range(n) if i != j)
    yy = sum(kernel(second, second)[i, j] for i in range(m) for j in range(m) if i != j)
    xy = kernel(first, second).sum()
    return 1000 * (xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m))


def test_the_kernel_is_the_papers() -> None:
    first, second = unit(5, 0), unit(7, 1)
    expected = np.exp(-cdist(first, second, "sqeuclidean") / (2 * 10**2))
    np.testing.assert_allclose(rbf_kernel(first, second), expected, rtol=1e-6)


def test_two_points_opposite_each_other_by_hand() -> None:
    # Within each set all are alike (kernel 1); across, the squared distance is 2.
    assert cmmd(EAST, NORTH) == pytest.approx(1000 * (2 - 2 * np.exp(-2 / 200)), rel=1e-9)


def test_identical_points_are_at_no_distance() -> None:
    assert cmmd(EAST, EAST) == pytest.approx(0, abs=1e-9)


def test_it_is_equation_four() -> None:
    first, second = unit(9, 2), unit(13, 3, centre=1.0)
    assert cmmd(first, second) == pytest.approx(reference_cmmd(first, second), abs=1e-6)


@pytest.mark.parametrize(
    ("case", "expected"),
    list(zip(CASES, (0.24424716772331045, 0.13439325010167202, 3.1692479449616506), strict=True)),
)
def test_it_is_torch_fidelitys_and_torchmetrics_unbiased_estimate(
    case: tuple[int, float], expected: float
) -> None:
    assert cmmd(*sides(*case)) == pytest.approx(expected, abs=1e-8)


def test_kid_of_two_points_opposite_each_other_by_hand() -> None:
    # Within each set (1 + 1)^3; across, at right angles, (0 + 1)^3.
    assert kid(EAST, NORTH) == pytest.approx(1000 * (8 + 8 - 2 * 1), rel=1e-9)
    assert kid(EAST, EAST) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("case", "expected"),
    list(zip(CASES, (126.97470533578725, 46.678082608977434, 1345.0089967530098), strict=True)),
)
def test_kid_is_torch_fidelitys_and_torchmetrics(case: tuple[int, float], expected: float) -> None:
    assert kid(*sides(*case)) == pytest.approx(expected, abs=1e-8)


def test_kid_is_the_mean_over_all_subsets_of_one_size() -> None:
    first, second = unit(5, 8), unit(5, 9, centre=1.0)
    subsets = [list(each) for each in combinations(range(5), 3)]
    some = [kid(first[ours], second[theirs]) for ours in subsets for theirs in subsets]
    assert kid(first, second) == pytest.approx(np.mean(some), abs=1e-9)


def test_kid_sees_a_spread_that_cmmd_does_not() -> None:
    # The means are alike, 0; one set lies along the first axis and the other along the second.
    first = np.array([[1.0, 0.0], [-1.0, 0.0]] * 20, np.float32)
    second = first[:, ::-1]
    assert kid(first, second) > 0.3 * kid(EAST, NORTH)
    assert abs(cmmd(first, second)) < 0.05 * cmmd(EAST, NORTH)


def test_it_has_no_bias_with_few_samples() -> None:
    distances = [cmmd(unit(4, seed), unit(30, 1000 + seed)) for seed in range(300)]
    error = np.std(distances) / np.sqrt(len(distances))
    assert abs(np.mean(distances)) < 3 * error


def test_it_rises_as_sets_part() -> None:
    reference = unit(40, 0, centre=3.0)
    distances = [cmmd(unit(40, 1, centre=centre), reference) for centre in (3.0, 1.5, 0.0, -3.0)]
    assert distances == sorted(distances)
    assert distances[-1] > 10 * abs(distances[0])


def test_counts_leave_samples_out() -> None:
    samples, reference = unit(6, 4), unit(8, 5)
    distance = StyleDistance(samples, reference)
    counts = np.array([1, 0, 1, 1, 0, 1])
    assert distance(counts) == pytest.approx(cmmd(samples[counts == 1], reference))
    assert distance(np.array([3, 0, 0, 0, 0, 0])) is None


def test_a_sample_taken_twice_is_not_compared_with_itself() -> None:
    samples, reference = unit(2, 6), unit(8, 7)
    distance = StyleDistance(samples, reference)
    assert distance(np.array([2, 2])) == pytest.approx(distance())


@pytest.mark.parametrize("kernel", [rbf_kernel, polynomial_kernel])
def test_an_interval_over_prompts_lies_around_the_distance(kernel: Kernel) -> None:
    # Eight prompts of three seeds, whose images are much alike.
    random = np.random.default_rng(3)
    centres = random.normal(size=(8, 16)).repeat(3, axis=0)
    samples = centres + 0.1 * random.normal(size=centres.shape)
    samples = (samples / np.linalg.norm(samples, axis=1, keepdims=True)).astype(np.float32)
    prompts, seeds = [f"{at // 3}" for at in range(24)], [at % 3 for at in range(24)]
    distance = StyleDistance(samples, unit(30, 10), kernel, units_of(prompts, seeds))
    resampled: list[float] = []

    def note(counts: Counts) -> float | None:
        found = distance(counts)
        if found is not None:
            resampled.append(found)
        return found

    low, high = bootstrap(note, prompts, seeds, "test")

    whole = distance()
    assert whole == pytest.approx(StyleDistance(samples, unit(30, 10), kernel)())
    assert low < whole < high
    spread = float(np.std(resampled))
    assert abs(float(np.mean(resampled)) - whole) < 0.35 * spread


def test_one_image_has_no_distance() -> None:
    with pytest.raises(ValueError, match="2 images on each side, not 1 and 4"):
        cmmd(EAST[:1], NORTH)


def test_style_is_the_share_of_the_way() -> None:
    assert style_gain(40, 40) == 0
    assert style_gain(10, 40) == 0.75
    assert style_gain(0, 40) == 1
    assert style_gain(60, 40) == -0.5
    assert style_gain(1, 0) is None
