"""How well a denoiser predicts given images at given noise levels: the base's own judgement.

MLPerf's text-to-image benchmark evaluates a held-out loss in the same way: at eight equidistant
timesteps, with noise that is the same for every model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from styledag.bases.conditioning import Conditioning
from styledag.bases.latents import LatentsShape
from styledag.errors import DeviceError, ModelError
from styledag.randomness import generator_for
from styledag.sampling.weights import Weights
from styledag.scoring.bootstrap import Counts
from styledag.scoring.style import Float64
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from styledag.bases.base import Objective, Tokens
    from styledag.sampling.frozen_parts import FrozenParts

TIMESTEPS = 8
"""Equal parts of the timesteps; each image is predicted once in the middle of each."""

_CODE_VERSION, _NAMESPACE = "1", "denoising_losses"


@dataclass(frozen=True, kw_only=True)
class NoisedImage:
    """An image that denoisers predict.

    Attributes:
        sha256: Of the image; its noise follows from this alone.
        text: What the denoiser is told of it.
        group: Images of one group are resampled together: a family, or a prompt.
        latents: Returns its scaled latents, float32. # CHW
    """

    sha256: str
    text: str
    group: str
    latents: "Callable[[], Tensor]"


class DenoisingLosses:
    """Losses of denoisers of one base, each computed once and remembered.

    Args:
        parts: The base.
        base_version: Version of its content.
        workspace: Remembers losses, and counts those really computed under ``denoising_losses``.
        batch_size: Noisy images in one pass.
    """

    def __init__(
        self, parts: "FrozenParts", base_version: str, workspace: Workspace, batch_size: int
    ) -> None:
        self._parts = parts
        self._base_version = base_version
        self._workspace = workspace
        self._batch_size = batch_size

    def with_base(self, parts: "FrozenParts", base_version: str) -> "DenoisingLosses":
        """Return the losses of denoisers of another base."""
        return DenoisingLosses(parts, base_version, self._workspace, self._batch_size)

    @property
    def tokens(self) -> "Tokens":
        """Counts a text's tokens as the base does."""
        return self._parts.base.tokens

    def of(self, weights: Weights, images: Sequence[NoisedImage], *, planned: int = 1) -> Float64:
        """Return a denoiser's loss on each image at each timestep, [n, TIMESTEPS].

        Some images at a time are remembered, so a kill loses those at the most.

        Args:
            weights: Of the denoiser.
            images: What it predicts.
            planned: Denoisers that are to predict such images, this one included; from their
                number follows whether they are compiled.

        Raises:
            DeviceError: If the device's memory does not suffice for a batch, or the denoiser must
                be compiled, and cannot be.
            ModelError: If the denoiser cannot be loaded, or gives NaN.
            StyleFileError: If a text is longer than the base reads.
        """
        keys = {self._key(weights, each): each for each in images}
        known = dict(self._workspace.items.get_many_json(_NAMESPACE, list(keys)))
        missing = {key: each for key, each in keys.items() if key not in known}
        with self._workspace.progress.task("denoising losses", len(keys)) as advance:
            advance(len(known))
            for computed in self._computed(weights, missing, planned):
                for key, losses in computed.items():
                    self._workspace.items.put_json(_NAMESPACE, key, losses)
                self._workspace.work["denoising_losses"] += len(computed)
                known |= computed
                advance(len(computed))
        return np.array([known[self._key(weights, each)] for each in images], np.float64)

    def _key(self, weights: Weights, image: NoisedImage) -> str:
        return item_key(
            code=_CODE_VERSION,
            base=self._base_version,
            weights=weights.version,
            image=image.sha256,
            text=image.text,
            timesteps=TIMESTEPS,
        )

    @cached_property
    def _objective(self) -> "Objective":
        return self._parts.base.objective()

    def _computed(
        self, weights: Weights, images: Mapping[str, NoisedImage], planned: int
    ) -> Iterator[dict[str, list[float]]]:
        """Yield losses by key, some images at a time."""
        import torch

        if not images:
            return
        # Before the denoiser takes its memory: some text encoders are larger.
        self._parts.conditioning([image.text for image in images.values()])
        model = weights.load(self._parts)
        at_once = max(1, self._batch_size // TIMESTEPS)
        for shape, within in _by_shape(images).items():
            size = min(self._batch_size, TIMESTEPS * at_once, TIMESTEPS * len(within))
            full = TIMESTEPS * len(within) // size
            compiled = self._parts.passes.are_compiled((size, *shape), full * planned)
            for start in range(0, len(within), at_once):
                chunk = within[start : start + at_once]
                try:
                    losses = self._losses(
                        model, [images[key] for key in chunk], size if compiled else None
                    )
                except torch.OutOfMemoryError as exc:
                    raise DeviceError(
                        f"the device has not the memory for {self._batch_size} noisy images at a "
                        "time: set samples.batch_size lower"
                    ) from exc
                if not np.isfinite(losses).all():
                    raise ModelError(
                        f"the denoiser of version {weights.version[:12]} gives NaN or infinity: "
                        "its weights have diverged, or overflow in this dtype; try dtype float32"
                    )
                yield dict(zip(chunk, losses.tolist(), strict=True))

    def _losses(
        self, model: Any, images: Sequence[NoisedImage], compiled_size: int | None
    ) -> Float64:
        import torch

        pairs = [(image, part) for image in images for part in range(TIMESTEPS)]
        latents = {image.sha256: image.latents() for image in images}
        with torch.inference_mode():
            losses = [
                self._pass(model, pairs[start : start + self._batch_size], latents, compiled_size)
                for start in range(0, len(pairs), self._batch_size)
            ]
            by_pair = torch.cat(losses).cpu().double().numpy()
        return cast(Float64, by_pair.reshape(len(images), TIMESTEPS))

    def _pass(
        self,
        model: Any,
        pairs: Sequence[tuple[NoisedImage, int]],
        latents_of: "Mapping[str, Tensor]",
        compiled_size: int | None,
    ) -> "Tensor":
        import torch

        compute, objective = self._parts.compute, self._objective
        latents = torch.stack([latents_of[image.sha256] for image, _ in pairs])
        noise = torch.stack(
            [
                torch.randn(latents.shape[1:], generator=generator_for("scores", image.sha256, at))
                for image, at in pairs
            ]
        )
        channels, height, width = latents.shape[1:]
        shares = [(part + 0.5) / TIMESTEPS for _, part in pairs]
        timesteps = objective.timesteps(shares, (channels, height, width)).to(compute.device)
        latents, noise = latents.to(compute.device), noise.to(compute.device)
        conditioning = self._conditioning([image.text for image, _ in pairs], height, width)
        predicted = self._parts.passes.predict(
            model,
            objective.noisy(latents, noise, timesteps).to(compute.dtype),
            timesteps,
            conditioning.to(dtype=compute.dtype),
            compiled=len(pairs) == compiled_size,
        )
        target = objective.target(latents, noise, timesteps)
        return objective.per_sample(predicted.float(), target, timesteps)

    def _conditioning(self, texts: Sequence[str], height: int, width: int) -> Conditioning:
        """Return what the denoiser reads of images of a size in training: none was cropped."""
        import torch

        base = self._parts.base
        size_px = (width * base.latents.factor_px, height * base.latents.factor_px)
        stated = base.image_conditioning(original_px=size_px, crop_px=(0, 0), size_px=size_px)
        of_texts = self._parts.conditioning(texts)
        rows, device = torch.ones((len(texts), 1), dtype=torch.int64), self._parts.compute.device
        of_images = {
            name: (rows * torch.tensor(values)).to(device) for name, values in stated.items()
        }
        return Conditioning({**of_texts.tensors, **of_images})


def relative_loss(losses: Float64, base_losses: Float64) -> Callable[[Counts], float | None]:
    """Return the mean loss over the base's, averaged over timesteps, as a statistic of images.

    Each timestep counts alike: the least noise has a hundred times the loss of the most, and a
    ratio of sums would be about textures alone.

    Args:
        losses: A denoiser's. # [n, TIMESTEPS]
        base_losses: The base's on the same images. # [n, TIMESTEPS]
    """

    def statistic(counts: Counts) -> float | None:
        base = counts @ base_losses
        if not (base > 0).all():
            return None
        return float((counts @ losses / base).mean())

    return statistic


def _by_shape(images: Mapping[str, NoisedImage]) -> dict[LatentsShape, list[str]]:
    """Return the keys of images by the shape of their latents."""
    shapes: dict[LatentsShape, list[str]] = {}
    for key, image in images.items():
        channels, height, width = image.latents().shape
        shapes.setdefault((channels, height, width), []).append(key)
    return shapes
