"""Latents of a base: their shape, and their scale on either side of the denoiser."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from styledag.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

LatentsShape = tuple[int, int, int]
"""Channels, height and width of one image's latents."""


@dataclass(frozen=True)
class Moments:
    """Posterior moments of images, as the autoencoder gives them: not scaled.

    Attributes:
        mean: Means. # [images, ..., C, H, W]
        logvar: Logarithms of the variances, of the same shape.
    """

    mean: "Tensor"
    logvar: "Tensor"


@dataclass(frozen=True)
class LatentScale:
    """Between latents as the autoencoder has them and as the denoiser reads them.

    Attributes:
        factor: What latents are multiplied by.
        shift: What is subtracted before.
    """

    factor: float
    shift: float = 0.0

    def scale(self, latents: "Tensor") -> "Tensor":
        """Return the autoencoder's latents as the denoiser reads them."""
        return (latents - self.shift if self.shift else latents) * self.factor

    def unscale(self, latents: "Tensor") -> "Tensor":
        """Return the denoiser's latents as the autoencoder decodes them."""
        unscaled = latents / self.factor
        return unscaled + self.shift if self.shift else unscaled


@dataclass(frozen=True, kw_only=True)
class LatentSpace:
    """The latents of a base.

    Attributes:
        channels: Channels of an image's latents.
        factor_px: Pixels along one side of a latent.
        multiple_px: What widths and heights of images must be multiples of.
        scale: Between the autoencoder's latents and the denoiser's.
        most_px: Longest side of an image; any when ``None``.
    """

    channels: int
    factor_px: int
    multiple_px: int
    scale: LatentScale
    most_px: int | None = None

    def shape(self, *, width_px: int, height_px: int) -> LatentsShape:
        """Return the shape of an image's latents.

        Raises:
            DataError: If the base cannot encode or draw images of that size.
        """
        if width_px % self.multiple_px or height_px % self.multiple_px:
            raise DataError(
                f"images of {width_px}x{height_px} px do not fit the base, which needs multiples "
                f"of {self.multiple_px} px: change the size of the images"
            )
        if self.most_px is not None and max(width_px, height_px) > self.most_px:
            raise DataError(
                f"images of {width_px}x{height_px} px do not fit the base, which knows places up "
                f"to {self.most_px} px: make the images smaller"
            )
        return self.channels, height_px // self.factor_px, width_px // self.factor_px
