"""Images at a size that a person can see."""

from PIL import Image

MIN_CELL_PX = 128
MAX_CELL_PX = 512


def cell(
    image: Image.Image, *, min_px: int = MIN_CELL_PX, max_px: int = MAX_CELL_PX
) -> Image.Image:
    """Return an image enlarged by a whole factor to ``min_px``, or reduced to ``max_px``."""
    longer = max(image.size)
    if longer < min_px:
        factor = -(-min_px // longer)
        enlarged = (image.width * factor, image.height * factor)
        return image.resize(enlarged, Image.Resampling.LANCZOS)
    if longer > max_px:
        reduced = image.copy()
        reduced.thumbnail((max_px, max_px), Image.Resampling.LANCZOS)
        return reduced
    return image
