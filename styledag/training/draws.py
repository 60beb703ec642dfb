"""The random numbers of one sample in one epoch, each by what it is for."""

from dataclasses import dataclass

import torch

from styledag.randomness import generator_for, seed_for

_SHARES = 2.0**53


@dataclass(frozen=True)
class Draws:
    """Random numbers that follow from run seed, epoch and sample alone.

    Attributes:
        seed: Run seed.
        epoch: The epoch, or a name of what else is drawn for.
        sample_id: The sample.
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
