"""What each optimiser step sees: an order of pictures, and the named randomness of each."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from styledag.diffusion.encoded import EncodedDataset, EncodedSample
from styledag.diffusion.recipe import Recipe
from styledag.errors import DataError
from styledag.randomness import generator_for, seed_for

_SHARES = 2.0**53
_HALF = 0.5
_BANDS = 4


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The tensors of one microstep.

    Attributes:
        latents: Scaled latents, float32. # BCHW
        noise: Standard normal, float32. # BCHW
        timesteps: Diffusion timesteps, int64. # B
        encoder_hidden_states: Text states. # [B, 77, D]
        weights: What each sample's loss counts in the mean over an optimiser step. # B
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    encoder_hidden_states: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; from pinned memory without waiting for it."""
        moved = {
            each.name: getattr(self, each.name).to(device, non_blocking=True)
            for each in fields(self)
        }
        return Batch(**moved | {"encoder_hidden_states": moved["encoder_hidden_states"].float()})

    def pinned(self) -> "Batch":
        """Return the batch in memory that a CUDA device reads by itself."""
        return Batch(**{each.name: getattr(self, each.name).pin_memory() for each in fields(self)})

    def weightless(self) -> "Batch":
        """Return the batch with weights of zero: its samples count for nothing."""
        return replace(self, weights=torch.zeros_like(self.weights))


class Batches:
    """Batches of the training split and of the validation split.

    Every random number follows from (run seed, epoch, sample id) and from what it is for. No
    sample is ever left out: the last step of an epoch may see fewer.

    Args:
        encoded: The dataset.
        recipe: Batch size, accumulation, flips, caption dropout and run seed.
        timesteps: Number of the schedule's timesteps.

    Attributes:
        steps_per_epoch: Optimiser steps of one pass over the training split.
        total_steps: Optimiser steps of the run.

    Raises:
        DataError: If the training split is empty, or was encoded without the mirrored pictures
            that the recipe asks for.
    """

    def __init__(self, encoded: EncodedDataset, recipe: Recipe, *, timesteps: int) -> None:
        self._encoded = encoded
        self._recipe = recipe
        self._timesteps = timesteps
        self._train = encoded.train
        if not self._train:
            raise DataError(
                f"the training split is empty ({len(encoded.validation)} pictures are held out "
                "for validation): gather more pictures, or hold out fewer"
            )
        if recipe.horizontal_flip and not encoded.flip:
            raise DataError(
                "the recipe flips pictures, but the dataset was encoded without their mirror "
                "images: encode with flip, or set horizontal_flip to false"
            )
        self.samples_per_step = recipe.batch_size * recipe.gradient_accumulation
        self.steps_per_epoch = math.ceil(len(self._train) / self.samples_per_step)
        self.total_steps = self.steps_per_epoch * recipe.epochs

    def steps(self, epoch: int, *, skip: int = 0) -> Iterator[list[Sequence[EncodedSample]]]:
        """Yield for each optimiser step of an epoch the samples of its microsteps.

        Args:
            epoch: The pass over the training split, from 1.
            skip: Steps of the epoch to leave out since they are done.
        """
        seed = self._recipe.seed
        order = sorted(self._train, key=lambda each: (seed_for(seed, epoch, each.id), each.id))
        size = self._recipe.batch_size
        for start in range(skip * self.samples_per_step, len(order), self.samples_per_step):
            chosen = order[start : start + self.samples_per_step]
            yield [chosen[at : at + size] for at in range(0, len(chosen), size)]

    def training_batch(self, samples: Sequence[EncodedSample], epoch: int) -> Batch:
        """Return one microstep's tensors, on the CPU."""
        draws = [_Draw(self._recipe.seed, epoch, each.id) for each in samples]
        flips = [self._recipe.horizontal_flip and draw.share("flip") < _HALF for draw in draws]
        captions = [
            self._encoded.empty_caption
            if draw.share("caption_dropout") < self._recipe.caption_dropout
            else each.caption
            for each, draw in zip(samples, draws, strict=True)
        ]
        timesteps = [int(draw.share("timestep") * self._timesteps) for draw in draws]
        return self._batch(samples, draws, flips, captions, timesteps)

    def validation_batches(self) -> Iterator[tuple[int, Batch]]:
        """Yield the validation split, always with the same noise.

        Each picture comes unmirrored with its own caption, once in each quarter of the timesteps.
        """
        held_out = self._encoded.validation
        size = self._recipe.batch_size
        for band in range(_BANDS):
            for start in range(0, len(held_out), size):
                samples = held_out[start : start + size]
                draws = [_Draw(self._recipe.seed, f"validation {band}", s.id) for s in samples]
                shares = [(band + draw.share("timestep")) / _BANDS for draw in draws]
                batch = self._batch(
                    samples,
                    draws,
                    [False] * len(samples),
                    [each.caption for each in samples],
                    [int(share * self._timesteps) for share in shares],
                )
                yield band, batch

    def _batch(
        self,
        samples: Sequence[EncodedSample],
        draws: Sequence["_Draw"],
        flips: Sequence[bool],
        captions: Sequence[int],
        timesteps: Sequence[int],
    ) -> Batch:
        latents = [
            self._encoded.sample_latents(sample, draw.generator("posterior"), flipped=flip)
            for sample, draw, flip in zip(samples, draws, flips, strict=True)
        ]
        noise = [torch.randn(latents[0].shape, generator=draw.generator("noise")) for draw in draws]
        return Batch(
            latents=torch.stack(latents),
            noise=torch.stack(noise),
            timesteps=torch.tensor(timesteps),
            encoder_hidden_states=self._encoded.text_states[list(captions)],
            weights=torch.ones(len(samples)),
        )


@dataclass(frozen=True)
class _Draw:
    """The random numbers of one sample in one epoch, each by what it is for."""

    seed: int
    epoch: int | str
    sample_id: str

    def share(self, purpose: str) -> float:
        """Return a number from 0 to below 1."""
        return (seed_for(self.seed, self.epoch, self.sample_id, purpose) >> 10) / _SHARES

    def generator(self, purpose: str) -> torch.Generator:
        """Return a generator of normal numbers."""
        return generator_for(self.seed, self.epoch, self.sample_id, purpose)
