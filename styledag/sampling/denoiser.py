"""The loop from noise to images, for many prompts and seeds at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from styledag.bases.parts import load_unet
from styledag.errors import ModelError
from styledag.sampling.base_parts import BaseParts
from styledag.sampling.noise import initial_noise, sample_generators
from styledag.sampling.schedulers import sampling_scheduler, unit_variance
from styledag.sampling.settings import SampleSettings

Pair = tuple[str, int]
"""A prompt and a seed."""


class Denoiser:
    """One UNet with its base's other parts, ready to draw.

    Args:
        parts: The base's other parts.
        unet: Folder of the UNet.
        settings: Sampler, steps and guidance.
        vae: Folder of the autoencoder that decodes; the base's own when left out.

    Raises:
        ModelError: If the UNet cannot be loaded.
    """

    def __init__(
        self, parts: BaseParts, unet: Path, settings: SampleSettings, *, vae: Path | None = None
    ) -> None:
        self.parts = parts
        self.vae_folder = vae
        self.settings = settings
        compute = parts.compute
        self.unet = load_unet(unet, device=compute.device, dtype=compute.dtype, subfolder="")

    @torch.inference_mode()
    def denoise(self, pairs: Sequence[Pair]) -> Iterator[torch.Tensor]:
        """Yield latents in the decoder's scale: the noise, and then once after each step.

        Latents and the sampler's arithmetic stay float32; only the UNet works in the machine's
        dtype. With guidance, both of its passes are one batch.

        Args:
            pairs: Prompts and seeds; [len(pairs), channels, height, width] comes back.
        """
        settings, compute = self.settings, self.parts.compute
        scheduler = sampling_scheduler(
            settings.scheduler, self.parts.scheduler_config, settings.num_inference_steps
        )
        guided = settings.guidance_scale > 1
        texts = [prompt for prompt, _ in pairs]
        if guided:
            texts = [settings.negative_prompt] * len(pairs) + texts
        states = self.parts.encoder_hidden_states(texts)
        generators = sample_generators(pairs)
        latents = initial_noise(generators, self._latent_shape()).to(compute.device)
        yield latents
        latents = latents * scheduler.init_noise_sigma
        ancestral = {"generator": generators} if settings.scheduler == "euler_a" else {}
        for timestep in scheduler.timesteps:
            scaled = scheduler.scale_model_input(latents, timestep).to(compute.dtype)
            if guided:
                scaled = torch.cat([scaled, scaled])
            predicted = self.unet(
                scaled, timestep.to(compute.device), encoder_hidden_states=states
            ).sample.float()
            if guided:
                without, towards = predicted.chunk(2)
                predicted = without + settings.guidance_scale * (towards - without)
            latents = scheduler.step(predicted, timestep, latents, **ancestral).prev_sample
            yield unit_variance(scheduler, latents)

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor, pairs: Sequence[Pair]) -> list[Image.Image]:
        """Return latents as RGB images.

        Args:
            latents: [len(pairs), channels, height, width].
            pairs: Prompts and seeds, to name the image at fault.

        Raises:
            ModelError: If an image holds NaN.
        """
        vae = self.parts.vae(self.vae_folder)
        latents = latents / vae.config.scaling_factor
        if vae.config.shift_factor is not None:
            latents = latents + vae.config.shift_factor
        pixels = vae.decode(latents.to(vae.dtype)).sample.float()
        for (prompt, seed), image in zip(pairs, pixels, strict=True):
            if bool(image.isnan().any()):
                raise ModelError(
                    f"the image of {prompt!r} with seed {seed} holds NaN: the UNet's weights "
                    "have diverged, or overflow in this dtype; try dtype float32"
                )
        levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round()
        arrays = levels.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8)  # NHWC
        return [Image.fromarray(array) for array in arrays]

    def _latent_shape(self) -> tuple[int, int, int]:
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return int(self.unet.config.in_channels), int(height), int(width)
