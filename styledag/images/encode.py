"""RGB pixels become a JPEG that holds nothing else."""

import io
from collections.abc import Mapping
from functools import cache

import PIL
from PIL import Image, features

_CODECS = ("libjpeg_turbo", "jpg", "webp", "avif", "zlib", "libtiff", "littlecms2")
_OPTIONAL_PACKAGES = ("pillow-heif", "pillow-jxl-plugin")


def encode_jpeg(image: Image.Image, *, quality: int) -> bytes:
    """Return a baseline JPEG without metadata and without chroma subsampling (4:4:4).

    The same pixels give the same bytes wherever :func:`codec_versions` are the same.

    Args:
        image: Mode RGB; only its pixels are used.
        quality: libjpeg's quality, 1 to 100.
    """
    pixels_only = image.copy()
    pixels_only.info = {}
    file = io.BytesIO()
    pixels_only.save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


@cache
def codec_versions() -> Mapping[str, str]:
    """Return the versions of Pillow and of the decoders beside it, which decide a JPEG's bytes."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {name: str(features.version(name)) for name in _CODECS if features.check(name)}
    for package in _OPTIONAL_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"pillow": PIL.__version__, **versions}
