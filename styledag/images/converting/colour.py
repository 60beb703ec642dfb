"""Colours as the image's ICC profile means them, in sRGB."""

import io

from PIL import Image, ImageCms

_USUAL_GAMMA = 1 / 2.2
_ALIKE = 0.05
_ODDEST_GAMMA = 8.0
"""Beyond this, either way, it is a mistake: a few levels would be all that is left."""
_SPACE_OF_MODE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def to_srgb(
    colours: Image.Image, icc_profile: bytes | None, gamma: float = 0.0
) -> tuple[Image.Image, list[str]]:
    """Return the image in sRGB (mode RGB) and notes on what was done beyond the ordinary.

    A profile for another colour space than the pixels' is ignored and noted as ``icc_ignored``,
    together with ``icc_for_<space>``; so is one that cannot be read, with ``icc_damaged``. CMYK
    without a profile is converted by plain complement and noted as ``cmyk_without_profile``. An
    exponent other than sRGB's is taken for it and noted as ``gamma_applied``.

    Args:
        colours: Mode L, RGB or CMYK.
        icc_profile: The file's profile, if it has one.
        gamma: Exponent by which the samples were made of light, such as PNG's gAMA; 0 if it is not
            stated.
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
    rgb = colours if colours.mode == "RGB" else colours.convert("RGB")
    is_odd = 1 / _ODDEST_GAMMA <= gamma <= _ODDEST_GAMMA
    if is_odd and abs(gamma / _USUAL_GAMMA - 1) > _ALIKE:
        return rgb.point(_levels_of(gamma) * 3), ["gamma_applied", *notes]
    return rgb, notes


def _levels_of(gamma: float) -> list[int]:
    """Return the level in sRGB (IEC 61966-2-1) of each level in an exponent."""
    light = [(level / 255) ** (1 / gamma) for level in range(256)]
    return [
        round(255 * (12.92 * each if each <= 0.0031308 else 1.055 * each ** (1 / 2.4) - 0.055))
        for each in light
    ]


def _transformed(colours: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    transform = ImageCms.buildTransform(
        profile, ImageCms.createProfile("sRGB"), colours.mode, "RGB", ImageCms.Intent.PERCEPTUAL
    )
    return transform.apply(colours)
