import numpy as np
import pytest
from scipy.spatial.distance import pdist

from styledag.scoring.judge import diversity
from styledag_tests.scoring.vectors import unit


def test_one_image_for_every_seed_has_none() -> None:
    assert diversity(np.repeat(unit(1, 0), 4, axis=0), ["a"] * 4) == pytest.approx(0, abs=1e-6)


def test_it_is_the_mean_over_prompts_of_distances_between_seeds() -> None:
    samples = unit(5, 1)
    prompts = ["a", "b", "a", "b", "a"]
    expected = np.mean([pdist(samples[::2], "cosine").mean(), pdist(samples[1::2], "cosine")[0]])
    assert diversity(samples, prompts) == pytest.approx(expected, abs=1e-6)


def test_a_single_seed_has_no_diversity() -> None:
    assert diversity(unit(3, 2), ["a", "b", "c"]) is None
    assert diversity(unit(3, 2), ["a", "b", "b"]) is not None
