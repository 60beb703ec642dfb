"""A family of its own kind: flow matching, shifted latents, two named tensors, a few weights.

It stands for what a further family is: one file, which registers itself.
"""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from styledag.bases.base import Parts, Probe
from styledag.bases.conditioning import Conditioning
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.families import family
from styledag.bases.flow_objective import FlowSettings
from styledag.bases.latents import LatentScale, LatentSpace, LatentsShape, Moments
from styledag.bases.parts import load_diffusers
from styledag.bases.samplers import DiffusersSchedule
from styledag.errors import ModelError, StyleFileError

WORDS, WIDTH, LIMIT = 64, 5, 6
TIMESTEPS = 1000
CHANNELS, HIDDEN, FACTOR = 3, 8, 4
SCALE = LatentScale(2.0, 0.25)


class ToyBlock(nn.Module):
    """Mixes pixels, and adds what the text says."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.mix = nn.Linear(WIDTH + 1, HIDDEN)

    def forward(self, hidden: Tensor, text: Tensor) -> Tensor:
        return hidden + torch.tanh(self.conv(hidden) + self.mix(text)[:, :, None, None])


class ToyDenoiser(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Predicts velocities from latents, a time from 0 to 1, masked states and their mask."""

    @register_to_config
    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(CHANNELS, HIDDEN, 1)
        self.blocks = nn.ModuleList([ToyBlock() for _ in range(depth)])
        self.conv_out = nn.Conv2d(HIDDEN, CHANNELS, 1)

    def forward(self, latents: Tensor, time: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        words = (states * mask[:, :, None].to(states.dtype)).sum(1)
        text = torch.cat([words, time[:, None].to(states.dtype)], dim=1)
        hidden = self.conv_in(latents)
        for block in self.blocks:
            hidden = block(hidden, text)
        predicted: Tensor = self.conv_out(hidden)
        return predicted


class ToyAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Latents of a quarter of each side."""

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 2 * CHANNELS, FACTOR, stride=FACTOR)
        self.decoder = nn.ConvTranspose2d(CHANNELS, 3, FACTOR, stride=FACTOR)


class LoadedAutoencoder:
    def __init__(self, model: Any) -> None:
        self.model = model
        self.decoding = ("decoder.",)

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.dtype
        return dtype

    def encode(self, pixels: Tensor) -> Moments:
        return Moments(*self.model.encoder(pixels).chunk(2, dim=1))

    def decode(self, latents: Tensor) -> Tensor:
        pixels: Tensor = self.model.decoder(latents.to(self.dtype)).float()
        return pixels


class Vocabulary:
    limit = LIMIT

    def count(self, text: str) -> int:
        return len(text.split())

    def backends(self) -> tuple[()]:
        return ()


class WordEncoder:
    def __init__(self, table: Tensor) -> None:
        self.table = table

    def encode(self, texts: Sequence[str]) -> Conditioning:
        states = torch.zeros(len(texts), LIMIT, WIDTH, device=self.table.device)
        mask = torch.zeros(len(texts), LIMIT, device=self.table.device, dtype=torch.bool)
        for at, text in enumerate(texts):
            for place, word in enumerate(text.split()):
                states[at, place] = self.table[zlib.crc32(word.encode()) % WORDS].float()
                mask[at, place] = True
        return Conditioning({"states": states.to(self.table.dtype), "mask": mask})


class Flow:
    """Rectified flow: from the image at 0 to noise at 1 in a straight line."""

    def timesteps(self, shares: Sequence[float], shape: LatentsShape) -> Tensor:
        # More noise for larger images, as flow matching has it.
        shift = math.sqrt(shape[1] * shape[2]) / 4
        return torch.tensor([TIMESTEPS * shift * s / (1 + (shift - 1) * s) for s in shares])

    def noisy(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        sigma = (timesteps / TIMESTEPS)[:, None, None, None]
        return (1 - sigma) * latents + sigma * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        del timesteps
        return noise - latents

    def per_sample(self, prediction: Tensor, target: Tensor, timesteps: Tensor) -> Tensor:
        del timesteps
        return (prediction.float() - target).square().mean(dim=(1, 2, 3))


@family("Toy flow", pipeline="ToyPipeline", components={"transformer": ("ToyDenoiser",)})
class Toy:
    """The protocol's members, for these few weights."""

    family = "Toy flow"
    parts = Parts(
        denoiser="transformer",
        autoencoder="vae",
        tokenizers=(),
        training=("transformer",),
        encoding=("vae", "words"),
    )
    latents = LatentSpace(channels=CHANNELS, factor_px=FACTOR, multiple_px=2 * FACTOR, scale=SCALE)
    size_px = (24, 16)
    tokens = Vocabulary()
    blocks: Mapping[str, str] = {"block.0": "blocks.0", "block.1": "blocks.1"}
    usual_sampler = "euler"
    usual_guidance_scale = 4.0
    elsewhere = Elsewhere()
    has_texts_of_any_length = False
    layers: Mapping[str, tuple[str, ...]] = {"attention": ("mix",)}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def text_encoder(
        self, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
    ) -> WordEncoder:
        table = load_file(self.folder / "words" / "table.safetensors")["table"]
        return WordEncoder(table.to(device, dtype or torch.float32))

    def autoencoder(
        self,
        folder: Path | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> LoadedAutoencoder:
        folder = folder or self.folder / "vae"
        return LoadedAutoencoder(load_diffusers(ToyAutoencoder, folder, device=device, dtype=dtype))

    def denoiser(
        self,
        folder: Path | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> Any:
        folder = folder or self.folder / "transformer"
        return load_diffusers(ToyDenoiser, folder, device=device, dtype=dtype)

    def predict(
        self, denoiser: nn.Module, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
    ) -> Tensor:
        time = (timesteps / TIMESTEPS).expand(len(latents))
        predicted: Tensor = denoiser(latents, time, conditioning["states"], conditioning["mask"])
        return predicted

    def image_conditioning(
        self, *, original_px: tuple[int, int], crop_px: tuple[int, int], size_px: tuple[int, int]
    ) -> Mapping[str, tuple[int, ...]]:
        del original_px, crop_px, size_px
        return {}

    def meta_conditioning(self, count: int) -> Conditioning:
        states = torch.empty(count, LIMIT, WIDTH, device="meta")
        return Conditioning(
            {"states": states, "mask": torch.empty(count, LIMIT, device="meta", dtype=torch.bool)}
        )

    def objective(
        self, *, min_snr_gamma: float | None = None, flow: FlowSettings | None = None
    ) -> Flow:
        if min_snr_gamma is not None or flow is not None:
            raise ModelError("the toy has no min_snr_gamma and no flow: remove it")
        return Flow()

    def sampler(
        self, name: str, num_inference_steps: int, shape: LatentsShape
    ) -> DiffusersSchedule:
        del shape
        if name != "euler":
            raise StyleFileError(f"the base has no sampler {name!r}: set samples.scheduler: euler")
        scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=TIMESTEPS)
        return DiffusersSchedule(scheduler, num_inference_steps)

    def modules_to_compile(self, denoiser: nn.Module) -> list[nn.Module]:
        return [each for each in denoiser.modules() if isinstance(each, ToyBlock)]

    def probes(self, size: tuple[int, int]) -> list[Probe]:
        block = self.denoiser(device="meta").blocks[0]
        return [Probe(block, {"hidden": (HIDDEN, *size), "text": (WIDTH + 1,)})]


def write_toy(folder: Path) -> Path:
    """Write a base of the family with random weights, and return its folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ToyDenoiser().save_pretrained(folder / "transformer")
        ToyAutoencoder().save_pretrained(folder / "vae")
        table = torch.randn(WORDS, WIDTH)
    (folder / "words").mkdir()
    save_file({"table": table}, folder / "words" / "table.safetensors")
    index = {"_class_name": "ToyPipeline", "transformer": ["toy", "ToyDenoiser"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
