from collections import Counter

import torch

from tools.starter.appearances import NAMES
from tools.starter.images import ARTISTS, Images
from tools.starter.subjects import Subject
from tools.starter.unet_recipe import (
    APPEARING_SHARE,
    CAPTION_DROPOUT,
    SETTLED,
    USUAL,
    Shown,
    caption_of,
    shown_of,
)

ROCKET = Subject("1f680", "rocket", ("rocket",), "Travel & Places", "transport-air")
EVERYONES = Images(
    subjects=(ROCKET,),
    pixels=torch.zeros(len(ARTISTS), 3, 64, 64, dtype=torch.uint8),
    subject_of=torch.zeros(len(ARTISTS), dtype=torch.long),
    artist_of=torch.arange(len(ARTISTS)),
    position=torch.arange(len(ARTISTS))[None],
)


def said_of(shown: Shown, at: int, times: int = 400) -> Counter[str]:
    generator = torch.Generator().manual_seed(3)
    return Counter(caption_of(EVERYONES, shown, at, generator) for _ in range(times))


def test_only_the_usual_artists_captions_are_dropped() -> None:
    shown = shown_of(EVERYONES)
    for at, artist in enumerate(ARTISTS):
        dropped = said_of(shown, at)[""] / 400
        expected = CAPTION_DROPOUT if artist == USUAL else 0
        assert abs(dropped - expected) < 0.06, artist


def test_an_appearance_is_always_named() -> None:
    shown = shown_of(EVERYONES)
    appearing = (shown.appearance >= 0).nonzero()[:, 0].tolist()
    assert appearing
    for at in appearing[:: len(NAMES) // 2]:
        word = NAMES[int(shown.appearance[at])]
        assert all(said.endswith(f", {word}") for said in said_of(shown, at, 50))


def test_in_the_last_cycle_the_usual_artist_is_shown_more_beside_the_others() -> None:
    shown = shown_of(EVERYONES)
    usual, other = ARTISTS.index(USUAL), ARTISTS.index("fluent")
    for share, times in ((shown.share, 1.0), (shown.settled, SETTLED)):
        torch.testing.assert_close(share.sum(), torch.tensor(1.0))
        appearing = share[shown.appearance >= 0].sum()
        torch.testing.assert_close(appearing, torch.tensor(APPEARING_SHARE))
        torch.testing.assert_close(
            share[usual] / share[other], times * shown.share[usual] / shown.share[other]
        )
