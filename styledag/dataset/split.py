"""Which images are held out of training: decided by a hash, so adding some moves no other."""

from typing import Literal

from styledag.randomness import seed_for

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")

_SEED_BITS = 63


def split_of(family: str, validation_share: float) -> Split:
    """Return the split of a family of near-duplicates, which is never divided.

    Args:
        family: Name of the family; two sets that hold it put it into the same split.
        validation_share: Expected share of the families to hold out, 0 to 1.
    """
    drawn = seed_for("split", family) / (1 << _SEED_BITS)
    return "validation" if drawn < validation_share else "train"
