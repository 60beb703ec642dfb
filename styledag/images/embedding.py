"""Images as vectors whose products say how alike they look."""

from collections.abc import Sequence
from math import sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from styledag.images.similarity import Float32

Float64 = NDArray[np.float64]

_SIDE_PX = 64
_INK_CELLS, _COLOUR_CELLS, _EDGE_CELLS = 16, 8, 8
_DIRECTIONS = 8
_FULL_INK = 1 / 6
_CODING_NOISE = 5 / 255
_SHARE_OF_INK, _SHARE_OF_COLOURS, _SHARE_OF_EDGES = 0.65, 0.25, 0.1


class Embedder(Protocol):
    """Turns images into unit vectors; the same image gives the same vector, in any batch."""

    @property
    def version(self) -> str:
        """What decides the vectors: model, revision, preprocessing. Part of cache keys."""

    def __call__(self, images: Sequence[Image.Image]) -> Float32:
        """Return one L2-normalised row for each RGB image, float32 ``[n, d]``."""


class PixelEmbedder:
    """Embeds an image by its outline, its coarse colours and the directions of its edges.

    Each of the three has its mean removed, so unlike images come out near 0 and not near 1, and
    a fixed share of the whole. The shares were chosen on emoji: all clock faces, or one gesture in
    all skin tones, are alike to 0.935 and more, two different animals are not.
    """

    version = "pixels-1"

    def __call__(self, images: Sequence[Image.Image]) -> Float32:
        """Return one L2-normalised row for each RGB image, float32 ``[n, 576]``."""
        return np.stack([_embedded(image) for image in images])


def _embedded(image: Image.Image) -> Float32:
    small = image.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float64) / 255  # HWC
    parts = (
        (_SHARE_OF_INK, _pooled(_ink(pixels), _INK_CELLS)),
        (_SHARE_OF_COLOURS, _pooled(pixels, _COLOUR_CELLS)),
        (_SHARE_OF_EDGES, _smoothed(_pooled(_edges(pixels), _EDGE_CELLS))),
    )
    vector = np.concatenate([sqrt(share) * _centred(part) for share, part in parts])
    length = float(np.linalg.norm(vector))
    if length < 1e-6:
        vector[: pixels.shape[2]] = pixels.mean(axis=(0, 1)) + 1e-3  # a plain colour has only that
        length = float(np.linalg.norm(vector))
    return (vector / length).astype(np.float32)


def _ink(pixels: Float64) -> Float64:
    """Return 0 where a pixel has the colour of the border, 1 where it is clearly another; HW1."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    background = np.median(border, axis=0)
    distance = np.abs(pixels - background).max(axis=2, keepdims=True)
    ink: Float64 = np.clip((distance - _CODING_NOISE) / _FULL_INK, 0, 1)
    return ink


def _edges(pixels: Float64) -> Float64:
    """Return the strength of the edges in each direction; a colour's sign has no say.

    The strength is the root of the gradient's, so faint outlines count too. The directions share
    an edge that lies between two of them.

    Returns:
        Array ``[H, W, directions]``.
    """
    down, right = np.gradient(pixels, axis=(0, 1))
    strongest = np.hypot(down, right).argmax(axis=2)[:, :, None]
    down = np.take_along_axis(down, strongest, axis=2)
    right = np.take_along_axis(right, strongest, axis=2)
    direction = np.arctan2(down, right) % np.pi / np.pi * _DIRECTIONS
    away = np.abs(direction - np.arange(_DIRECTIONS))
    away = np.minimum(away, _DIRECTIONS - away)
    share = np.maximum(1 - away, 0)
    strength = np.sqrt(np.maximum(np.hypot(down, right) - _CODING_NOISE, 0))
    edges: Float64 = strength * share
    return edges


def _pooled(values: Float64, cells: int) -> Float64:
    """Return the means over ``cells`` by ``cells`` equal parts of HWC values."""
    side = _SIDE_PX // cells
    pooled: Float64 = values.reshape(cells, side, cells, side, -1).mean(axis=(1, 3))
    return pooled


def _smoothed(values: Float64) -> Float64:
    """Return cells blurred with their neighbours (1, 2, 1) and halved in number."""
    for axis in (0, 1):
        padded = np.pad(values, [(1, 1) if each == axis else (0, 0) for each in range(3)])
        first, middle, last = (
            np.take(padded, range(start, start + values.shape[axis]), axis=axis)
            for start in range(3)
        )
        values = (first + 2 * middle + last) / 4
    half = values.shape[0] // 2
    halved: Float64 = values.reshape(half, 2, half, 2, -1).mean(axis=(1, 3))
    return halved


def _centred(part: Float64) -> Float64:
    """Return HWC cells without the mean of each channel, flat and of length 1 or 0."""
    flat: Float64 = (part - part.mean(axis=(0, 1), keepdims=True)).ravel()
    length = float(np.linalg.norm(flat))
    return flat / length if length > 1e-4 else np.zeros_like(flat)
