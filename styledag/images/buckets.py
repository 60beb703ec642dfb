"""Aspect-ratio buckets: a few shapes of about one area, and the one that suits an image best."""

import math

from styledag.images.containers.parts import Size
from styledag.images.settings import ImageSettings

DEFAULT_MAX_ASPECT = 2.0
_LARGEST_STEP_PX, _SMALLEST_STEP_PX, _STEPS_A_SIDE = 64, 8, 8


def settings_buckets(settings: ImageSettings) -> tuple[Size, ...]:
    """Return the buckets that the settings of mode ``bucket`` mean.

    The step is 64 px from 512 px on, as Stable Diffusion's UNet halves sides best, and an eighth of
    smaller sizes, in whole multiples of 8 px.
    """
    step_px = settings.bucket_step_px
    if step_px is None:
        eighth_px = settings.size_px // _STEPS_A_SIDE // _SMALLEST_STEP_PX * _SMALLEST_STEP_PX
        step_px = min(_LARGEST_STEP_PX, max(_SMALLEST_STEP_PX, eighth_px))
    max_aspect = settings.bucket_max_aspect or DEFAULT_MAX_ASPECT
    return bucket_sizes(settings.size_px, step_px=step_px, max_aspect=max_aspect)


def bucket_sizes(size_px: int, *, step_px: int, max_aspect: float) -> tuple[Size, ...]:
    """Return all shapes of about ``size_px`` squared pixels, the narrowest first.

    With each shape its transpose is among them. There is always one, whatever the arguments.

    Args:
        size_px: Side of the square of the same area.
        step_px: Sides are multiples of this.
        max_aspect: Most of longer over shorter side.
    """
    sizes = {_square(size_px, step_px)}
    for steps in range(1, math.ceil(size_px * math.sqrt(max_aspect) / step_px) + 1):
        side = steps * step_px
        other = max(1, round(size_px * size_px / side / step_px)) * step_px
        if max(side, other) <= max_aspect * min(side, other):
            sizes |= {(side, other), (other, side)}
    return tuple(sorted(sizes, key=lambda size: (size[0] / size[1], size)))


def nearest_bucket(size: Size, buckets: tuple[Size, ...]) -> Size:
    """Return the bucket whose aspect is nearest to an image's, as a ratio.

    It follows from the image's own size alone. Of two that are equally near, the narrower.
    """
    aspect = size[0] / size[1]
    return min(buckets, key=lambda bucket: abs(math.log(bucket[0] / bucket[1] / aspect)))


def _square(size_px: int, step_px: int) -> Size:
    side = max(1, round(size_px / step_px)) * step_px
    return side, side
