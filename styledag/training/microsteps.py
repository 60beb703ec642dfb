"""The microsteps of an epoch: every image once, of one shape each, with the prior's beside."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from styledag.randomness import seed_for
from styledag.training.encoding.dataset import EncodedDataset, EncodedSample

Microstep = tuple[EncodedSample, ...]
"""Samples of one shape, those of the style first."""


class Microsteps:
    """Divides the training split into microsteps, anew for each epoch.

    A bucket's last microstep holds what is left, so none is dropped for want of others of its
    shape. To the samples of the style as many of the prior of the same shape are added: all of
    them are used equally often over the run, in an order that each round draws anew.

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
        """Return an epoch's microsteps; the buckets' come mixed.

        Args:
            epoch: The pass over the training split, from 1.
        """
        places = {
            each.id: (seed_for(self._seed, epoch, each.id), each.id)
            for samples in self._train.values()
            for each in samples
        }
        microsteps: list[tuple[tuple[int, str], Microstep]] = []
        for bucket, samples in self._train.items():
            order = sorted(samples, key=lambda each: places[each.id])
            for start in range(0, len(order), self._batch_size):
                chosen = tuple(order[start : start + self._batch_size])
                prior = self._prior_samples(bucket, (epoch - 1) * len(order) + start, len(chosen))
                # Its place is that of one of its samples, which the lot of an epoch has no say in:
                # each place in the epoch is as likely, and a bucket's microsteps stay in order.
                place = places[min(each.id for each in chosen)]
                microsteps.append((place, chosen + prior))
        return [microstep for _, microstep in sorted(microsteps, key=lambda pair: pair[0])]

    def _prior_samples(self, bucket: str, start: int, count: int) -> Microstep:
        """Return the prior's samples at positions of the run, each named by its round too."""
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
            # Twice in an epoch it must not meet the same noise.
            chosen.append(replace(order[at], id=f"{order[at].id}/{turn}"))
        return tuple(chosen)


def by_bucket(samples: Iterable[EncodedSample]) -> Mapping[str, list[EncodedSample]]:
    """Return samples by their shape, in the order in which they come."""
    buckets: dict[str, list[EncodedSample]] = {}
    for sample in samples:
        buckets.setdefault(sample.bucket, []).append(sample)
    return buckets
