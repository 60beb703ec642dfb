"""How much of the base a model remembers, by what it predicts of the base's own images."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from styledag.scoring.bootstrap import Counts
from styledag.scoring.denoising_loss import NoisedImage, relative_loss
from styledag.scoring.embeddings import sha256_of
from styledag.scoring.style import Float64

if TYPE_CHECKING:
    from torch import Tensor

    from styledag.sampling.frozen_parts import FrozenParts
    from styledag.sampling.sampler import Sample, Sampler
    from styledag.store.workspace import Workspace


def base_remembered(losses: Float64, base_losses: Float64) -> Callable[[Counts], float | None]:
    """Return the base's loss over the model's, as a statistic of the base's own images.

    1 is the base, and it falls with what is forgotten. A little fine-tuning may bring it above 1.

    Args:
        losses: The model's on the base's own images. # [n, TIMESTEPS]
        base_losses: The base's. # [n, TIMESTEPS]
    """
    relative = relative_loss(losses, base_losses)

    def remembered(counts: Counts) -> float | None:
        share = relative(counts)
        return 1 / share if share else None

    return remembered


def own_images(
    sampler: "Sampler", prompts: Sequence[str], count: int, workspace: "Workspace"
) -> list[NoisedImage]:
    """Return images that the base draws of prompts outside the style, drawing what is not known.

    The images keep the base's other parts, and not the denoiser that drew them.

    Args:
        sampler: Of the base.
        prompts: What the style's images do not show.
        count: How many images; prompts get further seeds in turn until there are so many.
        workspace: Remembers images, and counts those really drawn under ``samples``.

    Raises:
        DeviceError: If the device's memory does not suffice for a batch.
        ModelError: If a model cannot be loaded, or gives NaN.
        StyleFileError: If a prompt is longer than the base reads.
    """
    pairs = [(prompts[at % len(prompts)], at // len(prompts)) for at in range(count)]
    with workspace.progress.task("the base's own images", count) as advance:
        samples = sampler.draw(pairs, workspace, advance)
    encoded = _Encoded(sampler.parts, sampler.settings.batch_size, samples)
    return [
        NoisedImage(
            sha256=sha256_of(sample.png),
            text=sample.prompt,
            group=sample.prompt,
            latents=partial(encoded.latents, at),
        )
        for at, sample in enumerate(samples)
    ]


class _Encoded:
    """Latents of a base's own images, encoded together when the first of them is needed."""

    def __init__(self, parts: "FrozenParts", batch_size: int, samples: "Sequence[Sample]") -> None:
        self._parts = parts
        self._batch_size = batch_size
        self._samples = samples

    def latents(self, at: int) -> "Tensor":
        return self._latents[at]

    @cached_property
    def _latents(self) -> "list[Tensor]":
        from styledag.training.encoding.encoders import ImageEncoder

        parts = self._parts
        encoder = ImageEncoder(
            parts.base, compute=parts.compute, batch_size=self._batch_size, flip=False
        )
        images = [
            (f"the base's {each.prompt!r} with seed {each.seed}", each.png)
            for each in self._samples
        ]
        scale = parts.base.latents.scale
        return [scale.scale(row["mean"][0].float()) for row in encoder.encode(images)]
