"""Unit vectors for tests."""

import numpy as np

from styledag.images.similarity import Float32


def unit(count: int, seed: int, *, width: int = 16, centre: float = 0.0) -> Float32:
    """Random unit vectors, drawn towards the first axis by ``centre``."""
    rows = np.random.default_rng(seed).normal(size=(count, width))
    rows[:, 0] += centre
    return normalised(rows)


def normalised(rows: np.ndarray) -> Float32:
    """Return rows of unit length."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
