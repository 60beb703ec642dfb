"""The microsteps of an epoch: every image once, those of one shape together, and the prior's."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from styledag.randomness import seed_for
from styledag.training.encoding.dataset import EncodedDataset, EncodedSample

Microstep = tuple[EncodedSample, ...]
"""Samples of one shape, those of the style first."""


class Microsteps:
    """Divides the training split into microsteps, anew for each epoch.

    The last microstep of a bucket contains what is left, so that no sample is dropped. As many
    samples of the prior are added as there are of the style, of the same shape. All of them are
    used equally often over the run, in an order that is drawn anew each time all were used.

    Args:
        encoded: The dataset.
        batch_size: Most samples of the style in a microstep.
        seed: Run seed, which all orders follow from.
        with_prior: Whether prior samples are added.
    """

    def __init__(
        self, encoded: EncodedDataset, *, batch_size: int, seed: int, with_prior: bool
    ) -> None:
        self._batch_size = batch_size
        self._seed = seed
        self._train = by_bucket(encoded.train)
        self._prior = by_bucket(encoded.prior) if with_prior else {}

    def __len__(self) -> int:
        """Return the number of microsteps in each epoch."""
        return sum(math.ceil(len(each) / self._batch_size) for each in self._train.values())

    def missing_prior(self) -> list[str]:
        """Return the buckets of the training split that have no prior samples."""
        return sorted(set(self._train) - set(self._prior))

    def of_epoch(self, epoch: int) -> list[Microstep]:
        """Return an epoch's microsteps, those of all buckets mixed.

        Args:
            epoch: The pass over the training split, from 1.
        """
        keys = {
            each.id: (seed_for(self._seed, epoch, each.id), each.id)
            for samples in self._train.values()
            for each in samples
        }
        keyed: list[tuple[tuple[int, str], Microstep]] = []
        for bucket, samples in self._train.items():
            order = sorted(samples, key=lambda each: keys[each.id])
            for start in range(0, len(order), self._batch_size):
                chosen = tuple(order[start : start + self._batch_size])
                prior = self._prior_samples(bucket, (epoch - 1) * len(order) + start, len(chosen))
                # Sorted by the key of the smallest sample id, which does not depend on the epoch,
                # so that every position in the epoch is equally likely.
                keyed.append((keys[min(each.id for each in chosen)], chosen + prior))
        return [microstep for _, microstep in sorted(keyed, key=lambda pair: pair[0])]

    def _prior_samples(self, bucket: str, start: int, count: int) -> Microstep:
        """Return the prior's samples at positions of the run, the round added to their ids."""
        samples = self._prior.get(bucket)
        if samples is None:
            return ()
        chosen: list[EncodedSample] = []
        for position in range(start, start + count):
            turn, at = divmod(position, len(samples))
            if at == 0 or not chosen:
                order = sorted(
                    samples, key=lambda each: seed_for(self._seed, "prior", turn, each.id)
                )
            # A sample that comes twice in an epoch must not get the same noise.
            chosen.append(replace(order[at], id=f"{order[at].id}/{turn}"))
        return tuple(chosen)


def by_bucket(samples: Iterable[EncodedSample]) -> Mapping[str, list[EncodedSample]]:
    """Return samples by their bucket, in their own order."""
    buckets: dict[str, list[EncodedSample]] = {}
    for sample in samples:
        buckets.setdefault(sample.bucket, []).append(sample)
    return buckets
