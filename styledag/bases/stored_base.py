"""What all families have in common: a denoiser and an autoencoder, each in its own folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Parts
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.kl_autoencoder import KlAutoencoder
from styledag.bases.parts import load_diffusers
from styledag.errors import ModelError

if TYPE_CHECKING:
    import torch


class StoredBase:
    """A base in a folder; members are those of the protocol."""

    family: str
    parts: Parts
    kind: str
    """Name of the denoiser's class in diffusers."""
    denoiser_name = "transformer"
    autoencoder_kind = KlAutoencoder
    elsewhere = Elsewhere()
    has_texts_of_any_length = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def autoencoder(
        self,
        folder: Path | None = None,
        *,
        device: "torch.device | str" = "cpu",
        dtype: "torch.dtype | None" = None,
    ) -> KlAutoencoder:
        """Return an autoencoder, in float32 where it overflows in the dtype."""
        folder = folder or self.folder / self.parts.autoencoder
        return self.autoencoder_kind(folder, device=device, dtype=dtype)

    def denoiser(
        self,
        folder: Path | None = None,
        *,
        device: "torch.device | str" = "cpu",
        dtype: "torch.dtype | None" = None,
    ) -> Any:
        """Return a denoiser: its own, or the one in a folder."""
        import diffusers

        folder = folder or self.folder / self.parts.denoiser
        model = load_diffusers(getattr(diffusers, self.kind), folder, device=device, dtype=dtype)
        self.check_inputs(model.config, folder)
        return model

    def check_inputs(self, config: Any, folder: Path) -> None:
        """Check that a denoiser reads what the family gives it, and nothing else.

        Raises:
            ModelError: If it does not.
        """
        read, returned = config.in_channels, config.get("out_channels")
        if returned not in (None, read):
            raise ModelError(
                f"the {self.denoiser_name} of {folder} reads {read} channels and returns "
                f"{returned}: name a base that returns as many as it reads (no inpainting)"
            )

    def image_conditioning(
        self, *, original_px: tuple[int, int], crop_px: tuple[int, int], size_px: tuple[int, int]
    ) -> Mapping[str, tuple[int, ...]]:
        """Return nothing: the denoiser reads none of it."""
        del original_px, crop_px, size_px
        return {}
