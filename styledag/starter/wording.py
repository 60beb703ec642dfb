"""Captions for the starter's training: a subject's names, and at times its artist's manner."""

import torch

from styledag.starter.subjects import Subject, with_article

MANNERS = (
    "a drawing of",
    "a 3d render of",
    "a picture of",
    "an icon of",
    "a flat picture of",
    "a painting of",
    "a small picture of",
    "a cute picture of",
)
"""How captions speak of each of the artists, in their order. Told apart, manner is something that
the UNet can change and leave the subject: what a fine-tune on one more manner builds on."""
PLAIN_NAME_SHARE = 0.6
MANNER_SHARE = 0.65


def chance(generator: torch.Generator) -> float:
    """Return a random number from 0 to 1."""
    return float(torch.rand((), generator=generator))


def caption(
    subject: Subject, artist: int, generator: torch.Generator, *, manner: bool | None = None
) -> str:
    """Return a caption of an artist's drawing of a subject.

    Args:
        subject: What is drawn.
        artist: Position in :data:`MANNERS`.
        generator: Decides the name, and whether the manner is named.
        manner: Whether the manner is named, if that is not left to chance.
    """
    name = subject.name
    if len(subject.names) > 1 and chance(generator) > PLAIN_NAME_SHARE:
        others = len(subject.names) - 1
        name = subject.names[1 + int(torch.randint(others, (), generator=generator))]
    spoken = with_article(name) if chance(generator) < 0.85 else name
    if manner is None:
        manner = chance(generator) < MANNER_SHARE
    return f"{MANNERS[artist]} {spoken}" if manner else spoken
