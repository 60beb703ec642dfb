"""The drawings and subjects as tensors, ready to train on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.starter.drawings import Artist, fetch_packages, read_artist, read_emoji, read_twemoji
from tools.starter.subjects import Subject, choose_subjects

ARTISTS: tuple[Artist, ...] = (
    "noto", "fluent", "blob", "emojione", "flat", "modern", "firefox", "streamline",
)  # fmt: skip
DRAWN_ARTISTS = 2
"""The first two drew nearly every subject: CLIP and the judges learn to distinguish them."""

_NEVER_DRAWN = ("Flags", "Component", "Symbols")


@dataclass(frozen=True)
class Images:
    """Drawings of subjects by the artists that are learned from.

    Attributes:
        subjects: What is drawn.
        pixels: Drawings, uint8. # BCHW
        subject_of: Each drawing's subject, as a position in ``subjects``. # B
        artist_of: Each drawing's artist, as a position in :data:`ARTISTS`. # B
        position: The drawing of a subject by an artist, or -1. # [subjects, artists]
    """

    subjects: tuple[Subject, ...]
    pixels: Tensor
    subject_of: Tensor
    artist_of: Tensor
    position: Tensor


def read_images(packages: Path) -> Images:
    """Return the subjects' drawings, fetching the packages if they are not there.

    Args:
        packages: Folder of the packages' archives.
    """
    fetch_packages(packages)
    drawings = [read_artist(packages, artist) for artist in ARTISTS]
    subjects = tuple(
        subject
        for subject in choose_subjects(read_emoji(packages))
        if any(subject.code in drawn for drawn in drawings)
    )
    pixels: list[np.ndarray] = []
    subject_of: list[int] = []
    artist_of: list[int] = []
    position = torch.full((len(subjects), len(ARTISTS)), -1)
    for artist, drawn in enumerate(drawings):
        for at, subject in enumerate(subjects):
            if subject.code in drawn:
                position[at, artist] = len(pixels)
                pixels.append(drawn[subject.code])
                subject_of.append(at)
                artist_of.append(artist)
    return Images(
        subjects=subjects,
        pixels=as_tensor(pixels),
        subject_of=torch.tensor(subject_of),
        artist_of=torch.tensor(artist_of),
        position=position,
    )


def read_all_drawings(packages: Path) -> Tensor:
    """Return every drawing of all artists but signs and flags, uint8, BCHW: for pixels alone."""
    fetch_packages(packages)
    signs = {row.code for row in read_emoji(packages) if row.category in _NEVER_DRAWN}
    return as_tensor(
        [
            drawing
            for artist in ARTISTS
            for code, drawing in sorted(read_artist(packages, artist).items())
            if code not in signs and not code.startswith(("1f1", "1f3f4-e"))
        ]
    )


def read_measured(subjects: tuple[Subject, ...], count: int = 400) -> tuple[list[int], Tensor]:
    """Return Twemoji's drawings of evenly chosen subjects, which nothing is ever trained on.

    Args:
        subjects: All subjects.
        count: How many to choose.

    Returns:
        Positions in ``subjects``, and uint8 drawings. # BCHW
    """
    twemoji = read_twemoji()
    known = [at for at, subject in enumerate(subjects) if subject.code in twemoji]
    chosen = [known[at] for at in np.linspace(0, len(known) - 1, count).astype(int)]
    return chosen, as_tensor([twemoji[subjects[at].code] for at in chosen])


def as_tensor(drawings: list[np.ndarray]) -> Tensor:
    """Return HWC drawings as one BCHW tensor, uint8."""
    return torch.from_numpy(np.stack(drawings)).permute(0, 3, 1, 2).contiguous()
