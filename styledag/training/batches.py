"""The batches of each optimiser step: an order of images, and the named randomness of each."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from styledag.bases.base import Objective
from styledag.bases.conditioning import Conditioning
from styledag.errors import DataError
from styledag.randomness import generator_for, seed_for
from styledag.training.encoding.dataset import EncodedDataset, EncodedSample
from styledag.training.microsteps import Microsteps, by_bucket
from styledag.training.recipe import Recipe

BANDS = 8
"""Equal parts of the timesteps, from the least noise to the most."""

_HALF = 0.5
_SHARES = 2.0**53


@dataclass(frozen=True)
class Draws:
    """Random numbers that follow from run seed, epoch and sample alone.

    Attributes:
        epoch: The epoch, or a name of what else is drawn for.
    """

    seed: int
    epoch: int | str
    sample_id: str

    def share(self, purpose: str) -> float:
        """Return a number from 0 to below 1."""
        return (seed_for(self.seed, self.epoch, self.sample_id, purpose) >> 10) / _SHARES

    def generator(self, purpose: str) -> torch.Generator:
        """Return a generator of normal numbers."""
        return generator_for(self.seed, self.epoch, self.sample_id, purpose)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The tensors of one microstep.

    Attributes:
        latents: Scaled latents, float32. # BCHW
        noise: Standard normal, plus the recipe's offset, float32. # BCHW
        timesteps: As the objective draws them. # B
        conditioning: What the denoiser reads of each sample's caption.
        weights: What each sample's loss counts in the mean over an optimiser step. # B
        dropped: Rows of the samples whose caption is the empty one, rising. # at most B
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    conditioning: Conditioning
    weights: Tensor
    dropped: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; from pinned memory, and no other, without waiting."""
        return self._with(
            self.conditioning.to(device).to(dtype=torch.float32),
            lambda each: each.to(device, non_blocking=each.is_pinned()),
        )

    def pinned(self) -> "Batch":
        """Return the batch in host memory that a CUDA device reads by itself."""
        return self._with(self.conditioning.pinned(), Tensor.pin_memory)

    def _with(self, conditioning: Conditioning, change: Callable[[Tensor], Tensor]) -> "Batch":
        names = [each.name for each in fields(self) if each.name != "conditioning"]
        changed = {name: change(getattr(self, name)) for name in names}
        return Batch(**changed, conditioning=conditioning)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Return the first samples and the others; of an odd number one more in the first."""
        middle = (len(self) + 1) // 2
        in_first = self.dropped < middle
        return (
            self._rows(slice(middle), dropped=self.dropped[in_first]),
            self._rows(slice(middle, len(self)), dropped=self.dropped[~in_first] - middle),
        )

    def _rows(self, rows: slice, *, dropped: Tensor) -> "Batch":
        selected = self._with(self.conditioning.select(rows), lambda each: each[rows])
        return replace(selected, dropped=dropped)

    def weightless(self) -> "Batch":
        """Return the batch with weights of zero: its samples count for nothing."""
        return replace(self, weights=torch.zeros_like(self.weights))


class Batches:
    """Batches of the training split and of the validation split.

    Every random number follows from (run seed, epoch, sample id) and from what it is for. No
    sample is ever left out: the last microstep of each bucket, and the last step of an epoch, may
    see fewer.

    Args:
        encoded: The dataset.
        recipe: Batch size, accumulation, flips, captions, prior, weights and run seed.
        objective: Draws timesteps.

    Attributes:
        steps_per_epoch: Optimiser steps of one pass over the training split.
        total_steps: Optimiser steps of the run.

    Raises:
        DataError: If the training split is empty, or was encoded without what the recipe asks
            for: mirrored images, its instance prompt, or images of the prior.
    """

    def __init__(self, encoded: EncodedDataset, recipe: Recipe, objective: Objective) -> None:
        self._encoded = encoded
        self._recipe = recipe
        self._objective = objective
        self._microsteps = Microsteps(
            encoded,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            with_prior=recipe.prior is not None,
        )
        _check(encoded, recipe, self._microsteps)
        self._held_out = [
            held_out[start : start + recipe.batch_size]
            for held_out in by_bucket(encoded.validation).values()
            for start in range(0, len(held_out), recipe.batch_size)
        ]
        self._weights = family_weights(encoded.train, recipe.family_weighting)
        self.steps_per_epoch = math.ceil(len(self._microsteps) / recipe.gradient_accumulation)
        self.total_steps = self.steps_per_epoch * recipe.epochs

    def steps(self, epoch: int, *, skip: int = 0) -> Iterator[list[Sequence[EncodedSample]]]:
        """Yield for each optimiser step of an epoch the samples of its microsteps.

        Samples of the prior are among them and have the split ``prior``.

        Args:
            epoch: The pass over the training split, from 1.
            skip: Steps of the epoch to leave out since they are done.
        """
        microsteps = self._microsteps.of_epoch(epoch)
        size = self._recipe.gradient_accumulation
        for start in range(skip * size, len(microsteps), size):
            yield list(microsteps[start : start + size])

    def training_batch(self, samples: Sequence[EncodedSample], epoch: int) -> Batch:
        """Return one microstep's tensors, on the CPU.

        Args:
            samples: Of one shape, and at least one; each one's numbers are its own.
            epoch: The epoch that they are seen in.
        """
        recipe = self._recipe
        draws = [Draws(recipe.seed, epoch, each.id) for each in samples]
        return self._batch(
            samples,
            draws,
            flips=[recipe.horizontal_flip and draw.share("flip") < _HALF for draw in draws],
            captions=[self._caption(*pair) for pair in zip(samples, draws, strict=True)],
            timestep_shares=[draw.share("timestep") for draw in draws],
            weights=[self._weight(each) for each in samples],
            noise_offset=recipe.noise_offset,
        )

    def validation_batches(self) -> Iterator[tuple[int, Batch]]:
        """Yield the validation split by bands of the timesteps, always with the same noise.

        Each image comes once in the middle of each band, unmirrored, with its main caption, with
        weight 1 and without offset. The band, from 0 to below :data:`BANDS`, comes with each
        batch.
        """
        for band in range(BANDS):
            for samples in self._held_out:
                draws = [Draws(self._recipe.seed, f"validation {band}", s.id) for s in samples]
                yield (
                    band,
                    self._batch(
                        samples,
                        draws,
                        flips=[False] * len(samples),
                        captions=[each.captions[0] for each in samples],
                        timestep_shares=[(band + _HALF) / BANDS] * len(samples),
                        weights=[1.0] * len(samples),
                    ),
                )

    def _conditioning(
        self, samples: Sequence[EncodedSample], captions: Sequence[int]
    ) -> Conditioning:
        of_captions = self._encoded.conditioning.select(list(captions)).tensors
        of_images = {
            name: torch.tensor([each.image_conditioning[name] for each in samples])
            for name in samples[0].image_conditioning
        }
        return Conditioning({**of_captions, **of_images})

    def _caption(self, sample: EncodedSample, draws: Draws) -> int:
        if draws.share("caption_dropout") < self._recipe.caption_dropout:
            return self._encoded.empty_caption
        return sample.captions[int(draws.share("caption") * len(sample.captions))]

    def _weight(self, sample: EncodedSample) -> float:
        if sample.split == "prior" and self._recipe.prior is not None:
            return self._recipe.prior.loss_weight
        return self._weights[sample.id]

    def _batch(
        self,
        samples: Sequence[EncodedSample],
        draws: Sequence[Draws],
        *,
        flips: Sequence[bool],
        captions: Sequence[int],
        timestep_shares: Sequence[float],
        weights: Sequence[float],
        noise_offset: float = 0.0,
    ) -> Batch:
        channels, height, width = self._encoded.moments[samples[0].bucket].mean.shape[2:]
        shape = (channels, height, width)
        latents, noise = torch.empty(2, len(samples), *shape)
        for at, (sample, draw) in enumerate(zip(samples, draws, strict=True)):
            self._encoded.sample_latents(
                sample, draw.generator("posterior"), flipped=flips[at], out=latents[at]
            )
            torch.randn(shape, generator=draw.generator("noise"), out=noise[at])
            if noise_offset:
                # Guttenberg 2023, "Diffusion with Offset Noise".
                noise[at] += noise_offset * torch.randn(
                    shape[0], 1, 1, generator=draw.generator("noise_offset")
                )
        return Batch(
            latents=latents,
            noise=noise,
            timesteps=self._objective.timesteps(timestep_shares, shape),
            conditioning=self._conditioning(samples, captions),
            weights=torch.tensor(weights),
            dropped=torch.tensor(
                [at for at, each in enumerate(captions) if each == self._encoded.empty_caption],
                dtype=torch.int64,
            ),
        )


def _check(encoded: EncodedDataset, recipe: Recipe, microsteps: Microsteps) -> None:
    if not len(microsteps):
        raise DataError(
            f"the training split is empty ({len(encoded.validation)} images are held out "
            "for validation): gather more images, or hold out fewer"
        )
    if recipe.horizontal_flip and not encoded.flip:
        raise DataError(
            "the recipe flips images, but the dataset was encoded without their mirror "
            "images: encode with flip, or set horizontal_flip to false"
        )
    if recipe.instance_prompt is not None:
        said = {encoded.captions[at] for each in encoded.train for at in each.captions}
        if said != {recipe.instance_prompt}:
            raise DataError(
                f"the recipe says {recipe.instance_prompt!r} of every image, but the dataset was "
                f"encoded with {sorted(said)[0]!r}: encode it with the instance prompt"
            )
    if recipe.prior is not None and microsteps.missing_prior():
        raise DataError(
            "the recipe preserves a prior, but the dataset was encoded without class images of "
            f"{', '.join(microsteps.missing_prior())} px: encode it with the recipe's prior"
        )


def family_weights(samples: Sequence[EncodedSample], family_weighting: float) -> dict[str, float]:
    """Return weights by sample id, whose mean over the samples is 1.

    An image counts ``(1 / n) ** family_weighting``, up to the common factor, where n is the number
    of the family's images among the samples: with 0 every image alike, with 1 every family
    alike, with 0.5 a family as the root of its size.

    Args:
        samples: The training split.
        family_weighting: 0 to 1.
    """
    sizes = Counter(_family(sample) for sample in samples)
    weights = {sample.id: sizes[_family(sample)] ** -family_weighting for sample in samples}
    mean = sum(weights.values()) / max(1, len(weights))
    return {sample_id: weight / mean for sample_id, weight in weights.items()}


def _family(sample: EncodedSample) -> str:
    return sample.family or sample.id
