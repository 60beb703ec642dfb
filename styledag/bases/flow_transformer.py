"""What families with a transformer that is trained by flow matching have in common."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Parts, TextEncoder
from styledag.bases.flow_objective import FlowObjective, FlowSettings, dynamic_shift
from styledag.bases.kl_autoencoder import kl_latents
from styledag.bases.latents import LatentSpace, LatentsShape
from styledag.bases.stored_base import StoredBase
from styledag.bases.texts.language_model import LanguageModel
from styledag.bases.texts.tokens import TextTokens
from styledag.models.config import read_config

if TYPE_CHECKING:
    import torch
    from torch import nn

    from styledag.bases.samplers import DiffusersSchedule


class FlowTransformer(StoredBase):
    """A base whose denoiser is a transformer over patches of latents."""

    parts = Parts(
        denoiser="transformer",
        autoencoder="vae",
        tokenizers=("tokenizer",),
        training=("transformer", "scheduler"),
        encoding=("vae", "text_encoder", "tokenizer"),
    )
    text_model: type[LanguageModel]
    """The text encoder, if it is one language model."""
    tokens: TextTokens
    lists: Mapping[str, str]
    """Names of the denoiser's lists of blocks, by their names in style files."""
    usual_sampler = "euler"
    usual_guidance_scale: float
    even_sigmas = False
    """Whether the pipeline draws with evenly spaced noise levels, and not the scheduler's own."""

    @cached_property
    def latents(self) -> LatentSpace:
        """Shape and scale of its latents."""
        latents = kl_latents(self.folder / self.parts.autoencoder, patch=self.patch)
        most = self.positions
        return latents if most is None else replace(latents, most_px=most * latents.multiple_px)

    @property
    def positions(self) -> int | None:
        """Tokens along a side that it has position embeddings for; any number if ``None``."""
        return None

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the images that it was made for."""
        side = int(self.config["sample_size"]) * self.latents.factor_px
        return side, side

    @property
    def patch(self) -> int:
        """Latents along one side of a token."""
        return int(self.config["patch_size"])

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

    def text_encoder(
        self, *, device: "torch.device | str" = "cpu", dtype: "torch.dtype | None" = None
    ) -> TextEncoder:
        """Return its language model."""
        folder = self.folder / "text_encoder"
        return self.text_model(folder, self.tokens, device=device, dtype=dtype)

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

    def sampler(
        self, name: str, num_inference_steps: int, shape: LatentsShape
    ) -> "DiffusersSchedule":
        """Return ``euler``."""
        import numpy as np

        from styledag.bases.samplers import flow_sampler

        shift = self.shift(shape, num_inference_steps)
        timing: dict[str, Any] = {} if shift is None else {"mu": shift}
        if self.even_sigmas:
            timing["sigmas"] = np.linspace(1.0, 1 / num_inference_steps, num_inference_steps)
        return flow_sampler(name, self.schedule, num_inference_steps, **timing)

    def shift(self, shape: LatentsShape, num_inference_steps: int) -> float | None:
        """Return ``mu`` as the pipeline has it for images of a size; ``None`` if it has none."""
        del num_inference_steps
        return dynamic_shift(self.schedule, self.tokens_of(shape))

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

    @property
    def timestep_count(self) -> int:
        """Timesteps of the schedule, the last of which is noise alone."""
        return int(self.schedule.get("num_train_timesteps", 1000))

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Configuration of its denoiser."""
        return read_config(self.folder / self.parts.denoiser / "config.json")

    def tokens_of(self, shape: LatentsShape) -> int:
        """Return how many tokens the denoiser reads of latents of a shape."""
        return (shape[1] // self.patch) * (shape[2] // self.patch)
