"""Pillow's guard against decompression bombs, made strict for the length of one decoding."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

_PILLOW_GLOBALS = threading.RLock()


@contextmanager
def decoding_limits(max_pixels: int) -> Iterator[list[warnings.WarningMessage]]:
    """Yield the list into which decoders' warnings go, while larger images raise.

    Pillow's limit and Python's warning filters are the process's own, so decodings take turns
    and both are as before afterwards.

    Args:
        max_pixels: Width times height above which a decompression-bomb warning is raised.
    """
    with _PILLOW_GLOBALS, warnings.catch_warnings(record=True, action="always") as caught:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield caught
        finally:
            Image.MAX_IMAGE_PIXELS = before
