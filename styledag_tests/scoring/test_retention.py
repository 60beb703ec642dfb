import numpy as np
import pytest
from scipy.spatial.distance import cosine

from styledag.scoring.judge import row_cosines, text_retention
from styledag_tests.scoring.vectors import unit


def test_the_bases_own_images_are_wholly_retained() -> None:
    samples = unit(5, 0)
    np.testing.assert_allclose(row_cosines(samples, samples), 1, atol=1e-6)


def test_each_row_is_compared_with_its_own() -> None:
    first, second = unit(4, 1), unit(4, 2)
    expected = [1 - cosine(a, b) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(row_cosines(first, second), expected, atol=1e-6)


def test_text_retention_is_a_ratio_where_the_base_shows_something() -> None:
    assert text_retention(0.2, 0.25) == pytest.approx(0.8)
    assert text_retention(0.2, 0.0) is None
    assert text_retention(0.2, -0.1) is None
