"""Colours as the image's ICC profile means them, in sRGB."""

import io

from PIL import Image, ImageCms

_SPACE_OF_MODE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def to_srgb(colours: Image.Image, icc_profile: bytes | None) -> tuple[Image.Image, list[str]]:
    """Return the image in sRGB (mode RGB) and notes on what was done beyond the ordinary.

    A profile for another colour space than the pixels' is ignored and noted as ``icc_ignored``,
    together with ``icc_for_<space>``; so is one that cannot be read, with ``icc_damaged``. CMYK
    without a profile is converted by plain complement and noted as ``cmyk_without_profile``.

    Args:
        colours: Mode L, RGB or CMYK.
        icc_profile: The file's profile, if it has one.
    """
    notes: list[str] = []
    if icc_profile:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            space = profile.profile.xcolor_space.strip()
            if space == _SPACE_OF_MODE[colours.mode]:
                return _transformed(colours, profile), notes
            notes = ["icc_ignored", f"icc_for_{space.lower()}"]
        except (ImageCms.PyCMSError, OSError, ValueError):
            notes = ["icc_ignored", "icc_damaged"]
    if colours.mode == "CMYK":
        notes.append("cmyk_without_profile")
    return colours if colours.mode == "RGB" else colours.convert("RGB"), notes


def _transformed(colours: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    transform = ImageCms.buildTransform(
        profile, ImageCms.createProfile("sRGB"), colours.mode, "RGB", ImageCms.Intent.PERCEPTUAL
    )
    return transform.apply(colours)
