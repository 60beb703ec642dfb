"""The perceptual hash of ``imagehash``, without importing scipy where that changes nothing."""

from functools import cache

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE_PX, _LOW = 32, 8
_LARGEST_ERROR = 1e-6
"""Far above what two ways to sum 1,024 products of 8-bit luma and cosines in float64 differ by,
which is below 1e-8, and far below the differences of the coefficients of most images."""


def perceptual_hash(image: Image.Image) -> str:
    """Return what ``imagehash.phash`` gives, as 16 hexadecimal digits.

    The lowest coefficients of a DCT of the luma, each compared with their median. Where one is so
    close to the median that rounding could decide, as in drawings with an axis of symmetry,
    imagehash itself is asked, which takes a third of a second to import scipy's DCT.

    Args:
        image: Mode RGB.
    """
    luma = image.convert("L").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
    cosines = _cosines()
    low = cosines @ np.asarray(luma, dtype=np.float64) @ cosines.T
    median = np.median(low)
    if np.abs(low - median).min() <= _LARGEST_ERROR:
        return str(imagehash.phash(image))
    return str(imagehash.ImageHash(low > median))


@cache
def _cosines() -> NDArray[np.float64]:
    """Return the first rows of the DCT-II of 32 values: [8, 32]."""
    rows, columns = np.arange(_LOW)[:, None], np.arange(_SIDE_PX)[None, :]
    cosines: NDArray[np.float64] = 2 * np.cos(np.pi * rows * (2 * columns + 1) / (2 * _SIDE_PX))
    return cosines
