"""What each optimiser step of the decoder sees: latents and the pixels that they came from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from styledag.errors import DataError
from styledag.randomness import generator_for, seed_for
from styledag.training.encoding.dataset import EncodedDataset, EncodedSample

_EVEN = 2


@dataclass(frozen=True)
class Pairs:
    """Latents with their images.

    Attributes:
        latents: As the decoder reads them, unscaled; float32. # BCHW
        pixels: In -1 to 1, float32. # B3HW
    """

    latents: Tensor
    pixels: Tensor

    def __len__(self) -> int:
        return len(self.latents)


class DecoderBatches:
    """Batches of the training split and of the validation split, each of one shape.

    Every random number follows from (run seed, epoch, sample id). No image is ever left out: of
    each shape, the last step of an epoch may see fewer.

    Args:
        encoded: The dataset.
        images: Gives a sample's pixels, [3, H, W].
        seed: Run seed.
        mirrored: Whether half of the training split's images are mirrored.
        batch_size: Images in one step.
        factor: Pixels along one side of a latent.

    Raises:
        DataError: If the training split is empty, or was encoded without the mirrored images
            that the recipe asks for.
    """

    def __init__(
        self,
        encoded: EncodedDataset,
        images: Callable[[EncodedSample], Tensor],
        *,
        seed: int,
        mirrored: bool,
        batch_size: int,
        factor: int,
    ) -> None:
        if not encoded.train:
            raise DataError("the training split is empty: gather more images, or hold out fewer")
        if mirrored and not encoded.flip:
            raise DataError(
                "the recipe flips images, but the dataset was encoded without their mirror "
                "images: encode with flip, or set horizontal_flip to false"
            )
        self._encoded = encoded
        self._images = images
        self._seed = seed
        self._mirrored = mirrored
        self._batch_size = batch_size
        self._factor = factor
        self.steps_per_epoch = len(list(self.steps(1)))

    def steps(self, epoch: int, *, skip: int = 0) -> Iterator[Sequence[EncodedSample]]:
        """Yield the samples of each optimiser step of an epoch.

        Args:
            epoch: The pass over the training split, from 1.
            skip: Steps of the epoch to leave out since they are done.
        """
        order = sorted(
            self._encoded.train,
            key=lambda each: (seed_for(self._seed, epoch, each.id, "decoder"), each.id),
        )
        yield from self._of_one_shape(order)[skip:]

    def training_pairs(self, samples: Sequence[EncodedSample], epoch: int) -> Pairs:
        """Return one step's tensors, on the CPU."""
        flips = [
            self._mirrored and seed_for(self._seed, epoch, each.id, "decoder flip") % _EVEN == 0
            for each in samples
        ]
        return self._pairs(samples, flips, epoch)

    def validation_pairs(self) -> Iterator[Pairs]:
        """Yield the validation split, unmirrored and always with the same noise."""
        for sample in self._encoded.validation:
            yield self._pairs([sample], [False], "validation")

    def _of_one_shape(self, order: Sequence[EncodedSample]) -> list[list[EncodedSample]]:
        """Return samples in batches of one shape each; those left over at the end are last."""
        steps: list[list[EncodedSample]] = []
        waiting: dict[str, list[EncodedSample]] = {}
        for sample in order:
            alike = waiting.setdefault(sample.bucket, [])
            alike.append(sample)
            if len(alike) == self._batch_size:
                steps.append(waiting.pop(sample.bucket))
        return steps + list(waiting.values())

    def _pairs(
        self, samples: Sequence[EncodedSample], flips: Sequence[bool], epoch: int | str
    ) -> Pairs:
        latents, pixels = [], []
        for sample, flip in zip(samples, flips, strict=True):
            latents.append(self._latents(sample, epoch, flipped=flip))
            pixels.append(self._pixels(sample, latents[-1], flipped=flip))
        return Pairs(torch.stack(latents), torch.stack(pixels))

    def _latents(self, sample: EncodedSample, epoch: int | str, *, flipped: bool) -> Tensor:
        generator = generator_for(self._seed, epoch, sample.id, "decoder posterior")
        latents = self._encoded.sample_latents(sample, generator, flipped=flipped)
        return self._encoded.scale.unscale(latents)

    def _pixels(self, sample: EncodedSample, latents: Tensor, *, flipped: bool) -> Tensor:
        pixels = self._images(sample)
        expected = (3, *(self._factor * side for side in latents.shape[1:]))
        if tuple(pixels.shape) != expected:
            raise DataError(
                f"image {sample.id} is {list(pixels.shape)}, but its latents "
                f"{list(latents.shape)} are of one that is {list(expected)}: materialise "
                "encoded_dataset again"
            )
        return pixels.flip(-1) if flipped else pixels
