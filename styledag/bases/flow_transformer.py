"""What families with a transformer that is trained by flow matching have in common."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Autoencoder, Parts
from styledag.bases.flow_objective import FlowObjective, FlowSettings
from styledag.bases.kl_autoencoder import KlAutoencoder
from styledag.bases.latents import LatentSpace, LatentsShape
from styledag.bases.parts import load_diffusers, read_config
from styledag.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn


class FlowTransformer:
    """A base whose denoiser is a transformer over patches of latents.

    Args:
        folder: In its pipeline's layout.
    """

    family: str
    parts: Parts
    lists: Mapping[str, str]
    """Names of the denoiser's lists of blocks, by their names in style files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    @abstractmethod
    def latents(self) -> LatentSpace:
        """Shape and scale of its latents."""

    @property
    @abstractmethod
    def size_px(self) -> tuple[int, int]:
        """Width and height of the images that it was made for."""

    @property
    @abstractmethod
    def patch(self) -> int:
        """Latents along one side of a token."""

    @abstractmethod
    def kind(self) -> Any:
        """Return the denoiser's class."""

    @property
    def blocks(self) -> Mapping[str, str]:
        """Each list of blocks, and each block in it, counted from the image's side."""
        denoiser = self.denoiser(device="meta")
        blocks: dict[str, str] = {}
        for block, name in self.lists.items():
            blocks[block] = name
            count = len(denoiser.get_submodule(name))
            blocks |= {f"{block}.{at}": f"{name}.{at}" for at in range(count)}
        return blocks

    def autoencoder(
        self,
        folder: Path | None = None,
        *,
        device: "torch.device | str" = "cpu",
        dtype: "torch.dtype | None" = None,
    ) -> Autoencoder:
        """Return an autoencoder."""
        folder = folder or self.folder / self.parts.autoencoder
        return KlAutoencoder(folder, device=device, dtype=dtype)

    def denoiser(
        self,
        folder: Path | None = None,
        *,
        device: "torch.device | str" = "cpu",
        dtype: "torch.dtype | None" = None,
    ) -> Any:
        """Return a transformer: its own, or the one in a folder."""
        folder = folder or self.folder / self.parts.denoiser
        model = load_diffusers(self.kind(), folder, device=device, dtype=dtype)
        read, returned = model.config.in_channels, model.config.get("out_channels")
        if returned not in (None, read):
            raise ModelError(
                f"the transformer of {folder} reads {read} channels and returns {returned}: name "
                "a base that returns as many as it reads (no inpainting)"
            )
        return model

    def image_conditioning(
        self, *, original_px: tuple[int, int], crop_px: tuple[int, int], size_px: tuple[int, int]
    ) -> Mapping[str, tuple[int, ...]]:
        """Return nothing: the transformer reads none of it."""
        del original_px, crop_px, size_px
        return {}

    def objective(
        self, *, min_snr_gamma: float | None = None, flow: FlowSettings | None = None
    ) -> FlowObjective:
        """Return the velocity of flow matching as objective."""
        width_px, height_px = self.size_px
        return FlowObjective(
            self.schedule,
            flow,
            own=self.latents.shape(width_px=width_px, height_px=height_px),
            patch=self.patch,
            min_snr_gamma=min_snr_gamma,
        )

    def modules_to_compile(self, denoiser: "nn.Module") -> "list[nn.Module]":
        """Return its blocks."""
        return [
            block
            for name in self.lists.values()
            for block in denoiser.get_submodule(name).children()
        ]

    @cached_property
    def schedule(self) -> Mapping[str, Any]:
        """Configuration of its noise schedule."""
        return read_config(self.folder / "scheduler" / "scheduler_config.json")

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Configuration of its denoiser."""
        return read_config(self.folder / self.parts.denoiser / "config.json")

    def tokens_of(self, shape: LatentsShape) -> int:
        """Return how many tokens the denoiser reads of latents of a shape."""
        return (shape[1] // self.patch) * (shape[2] // self.patch)
