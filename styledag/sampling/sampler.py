"""The one sampler behind previews, grids and GIFs, so that they agree and share images."""

import io
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from styledag.errors import DeviceError
from styledag.progress import Advance
from styledag.sampling.index import Pair
from styledag.sampling.provenance import png_with_provenance
from styledag.sampling.settings import SampleSettings
from styledag.sampling.weights import Weights
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    from styledag.bases.ip_adapter import IpAdapter
    from styledag.models.compute import Compute
    from styledag.sampling.denoiser import Denoiser
    from styledag.sampling.frozen_parts import FrozenParts

CODE_VERSION = "1"
NAMESPACE = "samples"

_shared_parts: ContextVar[dict[tuple[Path, str, "Compute"], "FrozenParts"]] = ContextVar(
    "shared_parts"
)


@dataclass(frozen=True)
class Sample:
    """One image.

    Attributes:
        prompt: What was asked for.
        seed: Its seed.
        png: The image with its provenance.
    """

    prompt: str
    seed: int
    png: bytes

    @property
    def image(self) -> Image.Image:
        """The image, RGB."""
        with Image.open(io.BytesIO(self.png), formats=["PNG"]) as image:
            return image.convert("RGB")


@dataclass(frozen=True)
class TunedVae:
    """An autoencoder to decode with in place of the base's.

    Attributes:
        folder: It in diffusers' layout.
        version: Version of its content.
    """

    folder: Path
    version: str


class Sampler:
    """Draws images with one UNet; models are loaded only once an image is missing.

    An image follows from the models' versions, prompt, seed, negative prompt, scheduler, steps,
    guidance, its rescaling and size. Device, dtype and batch change it by rounding alone.

    Args:
        base: Folder of the base.
        settings: Prompts, seeds and how to sample.
        compute: Where and how to compute.
        base_version: Version of the base's content.
        weights: Of the UNet to draw with; the base's own when left out.
        vae: The autoencoder that decodes; the base's own when left out.
        width_px: Width where the settings name none, such as the style's; the base's own when
            left out.
        height_px: Height where the settings name none.
        ip_adapter: Shows the UNet images beside each prompt.
    """

    def __init__(
        self,
        base: Path,
        settings: SampleSettings,
        compute: "Compute",
        *,
        base_version: str,
        weights: Weights | None = None,
        vae: TunedVae | None = None,
        width_px: int | None = None,
        height_px: int | None = None,
        ip_adapter: "IpAdapter | None" = None,
    ) -> None:
        self.base = base
        self.settings = settings
        self.compute = compute
        self.base_version = base_version
        self.weights = weights or Weights.stored(base_version, None)
        self.vae = vae
        self.ip_adapter = ip_adapter
        self._width_px = settings.width_px or width_px
        self._height_px = settings.height_px or height_px
        self._parts: FrozenParts | None = None
        self._denoiser: Denoiser | None = None

    def with_weights(self, weights: Weights, *, vae: TunedVae | None = None) -> "Sampler":
        """Return a sampler with another UNet that shares the base's loaded parts.

        Args:
            weights: Of the UNet.
            vae: The autoencoder that decodes; this sampler's own when left out.
        """
        other = Sampler(
            self.base,
            self.settings,
            self.compute,
            base_version=self.base_version,
            weights=weights,
            vae=vae or self.vae,
            width_px=self._width_px,
            height_px=self._height_px,
            ip_adapter=self.ip_adapter,
        )
        other._parts = self.parts
        return other

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every prompt with every seed, prompt by prompt."""
        return tuple(
            (prompt, seed) for prompt in self.settings.prompts for seed in self.settings.seeds
        )

    @property
    def size_px(self) -> tuple[int, int] | None:
        """Width and height of the images; ``None`` if they are the base's own.

        Raises:
            ModelError: If the base's configuration cannot be read.
        """
        if self._width_px is None and self._height_px is None:
            return None
        own = self.parts.base.size_px
        size = self._width_px or own[0], self._height_px or own[1]
        return None if size == own else size

    @property
    def parts(self) -> "FrozenParts":
        """The base's parts, which other samplers of the base may share."""
        from styledag.sampling.frozen_parts import FrozenParts

        if self._parts is None:
            shared, of = _shared_parts.get({}), (self.base, self.base_version, self.compute)
            self._parts = shared.get(of) or FrozenParts(self.base, self.compute)
            shared[of] = self._parts
        return self._parts

    @property
    def denoiser(self) -> "Denoiser":
        """The loaded models.

        Raises:
            ModelError: If one of them cannot be loaded.
            DataError: If the base cannot draw images of the size.
        """
        from styledag.sampling.denoiser import Denoiser

        if self._denoiser is None:
            self._denoiser = Denoiser(
                self.parts,
                self.weights,
                self.settings,
                size_px=self.size_px,
                vae=self.vae.folder if self.vae else None,
                ip_adapter=self.ip_adapter,
            )
        return self._denoiser

    def draw(
        self, pairs: Sequence[Pair], workspace: Workspace, advance: Advance, *, planned: int = 1
    ) -> tuple[Sample, ...]:
        """Return the images of prompts and seeds, drawing only those that are not known yet.

        Each batch is remembered at once, so a kill loses one batch at the most.

        Args:
            pairs: Prompts and seeds.
            workspace: Remembers images, and counts those really drawn under ``samples``.
            advance: Called for each image, drawn or known.
            planned: Draws of these prompts and seeds that are to come, by whatever weights, this
                one included; from their number follows whether the denoiser is compiled.

        Raises:
            DataError: If the base cannot draw images of the size.
            DeviceError: If the device's memory does not suffice for a batch, or the denoiser
                must be compiled, and cannot be.
            ModelError: If a model cannot be loaded, or gives NaN.
            StyleFileError: If a prompt is longer than the base reads, or the base has no such
                sampler.
        """
        keys = {pair: self.image_key(pair) for pair in pairs}
        known = dict(workspace.items.get_many(NAMESPACE, list(keys.values())))
        missing = [pair for pair, key in keys.items() if key not in known]
        advance(len(keys) - len(missing))
        self._encode_texts(missing)
        for batch, left in self.batches(missing, of=len(keys), planned=planned):
            for pair, image in zip(batch, self._drawn(batch, left), strict=True):
                known[keys[pair]] = png_with_provenance(image, self.provenance(pair))
                workspace.items.put(NAMESPACE, keys[pair], known[keys[pair]])
            workspace.work["samples"] += len(batch)
            advance(len(batch))
        return tuple(Sample(*pair, known[keys[pair]]) for pair in pairs)

    def batches(
        self, missing: Sequence[Pair], *, of: int, planned: int = 1
    ) -> Iterator[tuple[Sequence[Pair], int]]:
        """Yield batches, each with how many full ones are left to draw; 0 for one that is not full.

        Args:
            missing: Prompts and seeds to draw.
            of: How many there are in all; where they are fewer, as many fill a batch.
            planned: How often they are to be drawn.
        """
        size = max(1, min(self.settings.batch_size, of))
        later = (planned - 1) * (len(missing) // size)
        for start in range(0, len(missing), size):
            batch = missing[start : start + size]
            yield batch, (len(missing) - start) // size + later if len(batch) == size else 0

    def frames(
        self, pairs: Sequence[Pair], *, every_steps: int, planned: int = 1
    ) -> Iterator[list[Image.Image]]:
        """Yield the images of a batch as they emerge: the noise first, the finished ones last.

        Args:
            pairs: Prompts and seeds of one batch; one image of each is in every frame.
            every_steps: Denoising steps between two frames.
            planned: Batches of this size that are to be drawn; see
                :meth:`~styledag.sampling.denoiser.Denoiser.denoise`.
        """
        last = self.settings.num_inference_steps
        self._encode_texts(pairs)
        with _memory_errors(self.settings):
            for step, latents in enumerate(self.denoiser.denoise(pairs, planned=planned)):
                if step % every_steps == 0 or step == last:
                    yield self.denoiser.decode(latents, pairs)

    def image_key(self, pair: Pair) -> str:
        """Return the key under which an image is remembered."""
        return item_key(code=CODE_VERSION, **self.provenance(pair))

    def provenance(self, pair: Pair) -> Mapping[str, str]:
        """Return all that decides an image, as text."""
        prompt, seed = pair
        size, rescale = self.size_px, self.settings.guidance_rescale
        return {
            "base_version": self.base_version,
            "model_version": self.weights.version,
            "prompt": prompt,
            "seed": str(seed),
            "negative_prompt": self.settings.negative_prompt,
            "scheduler": self.settings.scheduler,
            "steps": str(self.settings.num_inference_steps),
            "guidance_scale": repr(float(self.settings.guidance_scale)),
            **({"guidance_rescale": repr(float(rescale))} if rescale else {}),
            **({"vae_version": self.vae.version} if self.vae else {}),
            **({"size_px": f"{size[0]}x{size[1]}"} if size else {}),
            **(self.ip_adapter.provenance if self.ip_adapter else {}),
        }

    def _encode_texts(self, pairs: Sequence[Pair]) -> None:
        """Encode all texts before the denoiser takes its memory."""
        if not pairs:
            return
        guided = self.settings.guidance_scale > 1
        with _memory_errors(self.settings):
            self.parts.conditioning(
                [*([self.settings.negative_prompt] * guided), *(prompt for prompt, _ in pairs)]
            )

    def _drawn(self, batch: Sequence[Pair], planned: int) -> list[Image.Image]:
        with _memory_errors(self.settings):
            (latents,) = deque(self.denoiser.denoise(batch, planned=planned), maxlen=1)
            return self.denoiser.decode(latents, batch)


@contextmanager
def sharing_parts() -> Iterator[None]:
    """Let all samplers of a base share its loaded parts for as long as the context lasts.

    Whoever draws with many models, one after the other, loads the base's parts and encodes each
    text once; they stay in memory until the end.
    """
    before = _shared_parts.set({})
    try:
        yield
    finally:
        _shared_parts.reset(before)


@contextmanager
def _memory_errors(settings: SampleSettings) -> Iterator[None]:
    import torch

    try:
        yield
    except torch.OutOfMemoryError as exc:
        fewer = "set samples.batch_size lower"
        smaller = "set samples.width_px and samples.height_px lower, or draw on a larger device"
        raise DeviceError(
            f"the device has not the memory to draw {settings.batch_size} images at a time: "
            f"{fewer if settings.batch_size > 1 else smaller}"
        ) from exc
