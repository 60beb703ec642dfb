"""Every way in which an image can be see-through, as one colour image and one alpha channel."""

from typing import TYPE_CHECKING

from PIL import Image, ImageFile

from styledag.errors import ImageError
from styledag.images.containers.tiff import Samples, stated_samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WITH_ALPHA = {"LA": "LA", "La": "LA", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}
_LEVEL_OF_BITS = {"L;2": 85, "L;4": 17}
_AS_RGB = frozenset({"RGB", "RGBX", "YCbCr"})


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours (mode L, RGB or CMYK, 8 bits) and the alpha (mode L), if there is one.

    Alpha channels, palettes with alpha and the key colour of PNG's tRNS and of GIF all count.
    Grey of more than 8 bits is scaled from the range that the file states, and not clipped.

    Args:
        image: A loaded image of any mode.

    Raises:
        ImageError: If the mode has no agreed range, such as 32-bit floats (``unsupported_mode``).
    """
    mode = image.mode
    samples = _samples(image)
    if mode == "P":
        palette = samples.palette()
        if palette is not None:
            image.putpalette(palette)
        mode = "PA" if image.has_transparency_data else "RGBX"
    if mode in _WITH_ALPHA:
        *colours, alpha = image.convert(_WITH_ALPHA[mode]).split()
        merged = Image.merge("L" if len(colours) == 1 else "RGB", colours)
        # A BMP's alpha is often a byte that its writer left at 0; browsers show such opaque.
        is_unused = image.format == "BMP" and alpha.getextrema() == (0, 0)
        return merged, None if is_unused else alpha
    if mode == "CMYK":
        return image, None
    if mode.startswith("I"):
        return _deep_grey(image, samples)
    if mode in ("1", "L"):
        grey = image.convert("L")
        return grey, _keyed_alpha(grey, image)
    if mode in _AS_RGB:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        return rgb, _keyed_alpha(rgb, image)
    raise ImageError("unsupported_mode", f"pixels of mode {mode} have no agreed range of values")


def composite(
    colours: Image.Image, alpha: Image.Image | None, background: tuple[int, ...]
) -> Image.Image:
    """Return RGB colours over a plain background, as far as alpha lets it through."""
    if alpha is None:
        return colours
    below = Image.new("RGB", colours.size, background)
    return Image.composite(colours, below, alpha)


def scale_key_colour(file: ImageFile.ImageFile) -> None:
    """Put a PNG's key colour, stated in the file's bits, into the range of its loaded pixels.

    Args:
        file: Opened and not yet loaded; its ``info["transparency"]`` is changed.
    """
    key = file.info.get("transparency")
    if file.format != "PNG" or key is None or not file.tile:
        return
    bits = file.tile[0].args
    if isinstance(key, tuple) and bits == "RGB;16B":
        file.info["transparency"] = tuple(part >> 8 for part in key)
    elif isinstance(key, int) and bits in _LEVEL_OF_BITS:
        file.info["transparency"] = key * _LEVEL_OF_BITS[bits]


def _samples(image: Image.Image) -> Samples:
    """Return what the file states of its samples; 16 bits, black at 0, where it is no TIFF."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return Samples(bits=(16,), photometric=1, formats=(1,))
    samples = stated_samples(tags)
    samples.check()
    return samples


def _deep_grey(image: Image.Image, samples: Samples) -> tuple[Image.Image, Image.Image | None]:
    import numpy as np  # few images need it, and a worker starts sooner without

    values = np.asarray(image)
    if image.mode == "I":
        if samples.bits != (32,):
            raise ImageError(
                "unsupported_mode", f"pixels of mode {image.mode} have no agreed range"
            )
        values = values.view(np.uint32)
    levels = (values.astype(np.uint64) * 255 + samples.most // 2) // samples.most
    if samples.white_is_zero:
        levels = 255 - np.minimum(levels, 255)
    return Image.fromarray(levels.astype(np.uint8)), _keyed_alpha(values, image)


def _keyed_alpha(
    pixels: "Image.Image | NDArray[np.generic]", image: Image.Image
) -> Image.Image | None:
    """Return alpha 0 where the values equal the key colour that the file states."""
    key = image.info.get("transparency")
    if key is None:
        return None
    if isinstance(key, bytes):
        raise ImageError("damaged", f"{image.mode} pixels with a palette's transparency")
    import numpy as np

    clear = np.asarray(pixels) == np.asarray(key, dtype=np.int64)
    if clear.ndim == 3:
        clear = clear.all(axis=2)
    return Image.fromarray(np.where(clear, 0, 255).astype(np.uint8))
