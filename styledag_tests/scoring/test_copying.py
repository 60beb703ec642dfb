import numpy as np
import pytest
from scipy.spatial import cKDTree

from styledag.scoring.copying import copying_threshold, nearest
from styledag_tests.scoring.vectors import unit


def test_a_planted_copy_is_found() -> None:
    training, samples = unit(30, 0), unit(6, 1)
    samples[4] = training[17]
    found = nearest(samples, training)
    assert found.index[4] == 17
    assert found.similarity[4] == pytest.approx(1)
    assert found.similarity.argmax() == 4


def test_the_nearest_is_a_trees_nearest() -> None:
    training, samples = unit(40, 2), unit(9, 3)
    distance, index = cKDTree(training).query(samples)
    found = nearest(samples, training)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.similarity, 1 - distance**2 / 2, atol=1e-6)


def test_the_threshold_is_the_percentile_of_honest_distances() -> None:
    training = np.array([[1.0, 0.0]], np.float32)
    angles = np.arccos(1 - np.linspace(0, 1, 101))  # distances 0, 0.01, ... 1
    heldout = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    assert copying_threshold(heldout, training, 5) == pytest.approx(0.95, abs=1e-5)


def test_about_the_percentile_of_honest_images_lies_above_the_threshold() -> None:
    training, heldout = unit(200, 4), unit(400, 5)
    threshold = copying_threshold(heldout, training, 10)
    fresh = nearest(unit(1000, 6), training).similarity
    assert (fresh > threshold).mean() == pytest.approx(0.1, abs=0.04)
