"""Captions for the starter's training: a subject's names, and at times its artist's manner."""

import torch

from tools.starter.subjects import Subject, with_article

MANNERS = (
    "a drawing of {}",
    "a 3d render of {}",
    "a picture of {}, round",
    "a picture of {}, icon",
    "a picture of {}, paper",
    "a picture of {}, glass",
    "a picture of {}, symbol",
    "a picture of {}, pencil",
)
"""How captions speak of each of the artists, in their order.

What distinguishes them stands at the end, since a text tower reads from left to right: a subject's
own states are then the same in every manner, and a new manner changes none of them.
"""
PLAIN_NAME_SHARE = 0.6
MANNER_SHARE = 0.65


def chance(generator: torch.Generator) -> float:
    """Return a random number from 0 to 1."""
    return float(torch.rand((), generator=generator))


def caption(
    subject: Subject, manner: str, generator: torch.Generator, *, named: bool | None = None
) -> str:
    """Return a caption of a drawing of a subject.

    Args:
        subject: What is drawn.
        manner: How captions speak of the artist's manner, with ``{}`` for the subject.
        generator: Decides the subject's name, and whether the manner is named.
        named: Whether the manner is named, if that is not left to chance.
    """
    name = subject.name
    if len(subject.names) > 1 and chance(generator) > PLAIN_NAME_SHARE:
        others = len(subject.names) - 1
        name = subject.names[1 + int(torch.randint(others, (), generator=generator))]
    spoken = with_article(name) if chance(generator) < 0.85 else name
    if named is None:
        named = chance(generator) < MANNER_SHARE
    return manner.format(spoken) if named else spoken
