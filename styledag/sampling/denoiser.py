"""The loop from noise to images, for many prompts and seeds at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from styledag.bases.ip_adapter import IpAdapter, ip_adapter_base
from styledag.errors import ModelError
from styledag.randomness import generator_for
from styledag.sampling.frozen_parts import FrozenParts
from styledag.sampling.index import Pair
from styledag.sampling.settings import SampleSettings
from styledag.sampling.weights import Weights


class Denoiser:
    """One denoiser with its base's other parts, ready to draw.

    Args:
        parts: The base's other parts.
        weights: Of the denoiser.
        settings: Sampler, steps and guidance.
        size_px: Width and height of the images; the base's own when ``None``.
        vae: Folder of the autoencoder that decodes; the base's own when ``None``.
        ip_adapter: Shows the denoiser images beside each prompt.

    Raises:
        ModelError: If the denoiser cannot be loaded.
        DataError: If the base cannot draw images of that size.
    """

    def __init__(
        self,
        parts: FrozenParts,
        weights: Weights,
        settings: SampleSettings,
        *,
        size_px: tuple[int, int] | None = None,
        vae: Path | None = None,
        ip_adapter: IpAdapter | None = None,
    ) -> None:
        self.parts = parts
        self.settings = settings
        self._vae_folder = vae
        base = parts.base
        width_px, height_px = size_px or base.size_px
        self._shape = base.latents.shape(width_px=width_px, height_px=height_px)
        self.model = weights.load(parts)
        self._image_prompt = None
        if ip_adapter is not None:
            self._image_prompt = ip_adapter_base(base).load_ip_adapter(self.model, ip_adapter)

    @torch.inference_mode()
    def denoise(self, pairs: Sequence[Pair], *, planned: int = 1) -> Iterator[torch.Tensor]:
        """Yield latents in the decoder's scale: the noise, and then once after each step.

        Latents and the sampler's arithmetic stay float32; only the denoiser computes in the
        machine's dtype. With guidance, both of its passes are one batch.

        Args:
            pairs: Prompts and seeds; [len(pairs), channels, height, width] comes back.
            planned: Batches of this size that are to be drawn, this one included, from which
                follows whether they are compiled; 0 for one that is not to be.

        Raises:
            DeviceError: If the denoiser must be compiled, and cannot be.
            StyleFileError: If the base has no such sampler, or a prompt is too long for it.
        """
        settings, compute, base = self.settings, self.parts.compute, self.parts.base
        schedule = base.sampler(settings.scheduler, settings.num_inference_steps, self._shape)
        guided = settings.guidance_scale > 1
        texts = [prompt for prompt, _ in pairs]
        if guided:
            texts = [settings.negative_prompt] * len(pairs) + texts
        conditioning = self.parts.conditioning(texts)
        if self._image_prompt is not None:
            unconditional = len(pairs) if guided else 0
            conditioning = self._image_prompt.beside(conditioning, unconditional=unconditional)
        # None is shared, so neither a further prompt nor another batch changes an image.
        generators = [generator_for("sample", prompt, seed) for prompt, seed in pairs]
        noise = torch.stack([torch.randn(self._shape, generator=each) for each in generators])
        latents = noise.to(compute.device)
        yield latents
        latents = schedule.start(latents)
        passes, count = self.parts.passes, 2 * len(pairs) if guided else len(pairs)
        # An IP-Adapter brings attention of its own, for one draw alone.
        compiled = self._image_prompt is None and passes.are_compiled(
            (count, *self._shape), planned * len(schedule.timesteps)
        )
        # Copied once: each copy would wait for all steps before.
        on_device = schedule.timesteps.to(compute.device)
        for at, timestep in enumerate(schedule.timesteps):
            seen = schedule.denoiser_input(latents, timestep).to(compute.dtype)
            if guided:
                seen = torch.cat([seen, seen])
            predicted = passes.predict(
                self.model, seen, on_device[at], conditioning, compiled=compiled
            ).float()
            if guided:
                predicted = _guided(predicted, settings)
            latents = schedule.step(predicted, timestep, latents, generators)
            yield schedule.decodable(latents)

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor, pairs: Sequence[Pair]) -> list[Image.Image]:
        """Return latents as RGB images.

        Args:
            latents: [len(pairs), channels, height, width].
            pairs: Prompts and seeds, to name the image at fault.

        Raises:
            ModelError: If an image holds NaN.
        """
        unscaled = self.parts.base.latents.scale.unscale(latents)
        pixels = self._decoded(unscaled)
        for (prompt, seed), image in zip(pairs, pixels, strict=True):
            if bool(image.isnan().any()):
                raise ModelError(
                    f"the image of {prompt!r} with seed {seed} holds NaN: the denoiser's weights "
                    "have diverged, or overflow in this dtype; try dtype float32"
                )
        levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round()
        arrays = levels.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8)  # NHWC
        return [Image.fromarray(array) for array in arrays]

    def _decoded(self, unscaled: torch.Tensor) -> torch.Tensor:
        """Return pixels, one image at a time where the device has not the memory for all.

        Of large images, decoding takes more than denoising does.
        """
        autoencoder = self.parts.autoencoder(self._vae_folder)
        try:
            return autoencoder.decode(unscaled)
        except torch.OutOfMemoryError:
            if len(unscaled) == 1:
                raise
        # Outside of the handler, whose error refers to what was computed so far.
        return torch.cat([autoencoder.decode(one) for one in unscaled.chunk(len(unscaled))])


def _guided(predicted: torch.Tensor, settings: SampleSettings) -> torch.Tensor:
    """Return what guidance makes of the predictions without and with the prompts.

    Rescaled as in Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed",
    equations 15 and 16.

    Args:
        predicted: [2 x images, channels, height, width], those without prompts first.
        settings: Guidance and its rescaling.
    """
    without, towards = predicted.chunk(2)
    guided = without + settings.guidance_scale * (towards - without)
    if not settings.guidance_rescale:
        return guided
    every = (1, 2, 3)
    spread = towards.std(dim=every, keepdim=True) / guided.std(dim=every, keepdim=True)
    return guided * (1 + settings.guidance_rescale * (spread - 1))
