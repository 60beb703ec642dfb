"""Measure a starter and write its cards: ``python -m styledag.starter.evaluate``.

Judges are trained first, if they were not yet: a CLIP with another seed and another split of the
drawings, and a network that tells artists apart.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styledag.starter import clip_recipe
from styledag.starter.cards import write_cards
from styledag.starter.clip_recipe import (
    name_embeddings,
    picture_embeddings,
    top_share,
    train_clip,
)
from styledag.starter.drawings import read_twemoji
from styledag.starter.figures import (
    COMBINATIONS,
    SEEDS,
    asked_subjects,
    drawn,
    drawn_subjects,
    load_models,
    seen_figures,
)
from styledag.starter.judges import ARTIST_JUDGE, ARTIST_NAMES, ArtistJudge, train_artist_judge
from styledag.starter.pictures import ARTISTS, DRAWN_ARTISTS, Pictures, as_tensor
from styledag.starter.train import Training, arguments_of, save_grid, training_of
from styledag.starter.vocabulary import clip_tokenizer

JUDGE_SPLIT_SEED = 17
JUDGE_SHOWN_SHARE = 0.75
ARTIST_HELD_OUT_EVERY = 5


def subject_judge(training: Training) -> Any:
    """Return a CLIP that was trained with another seed, on another three quarters of drawings."""
    pictures = training.pictures
    generator = torch.Generator().manual_seed(JUDGE_SPLIT_SEED)
    shown = torch.rand(len(pictures.pixels), generator=generator) < JUDGE_SHOWN_SHARE
    # A subject of which no drawing were left could never be recognised.
    either = torch.randint(0, 2, (len(pictures.subjects),), generator=generator)
    kept = pictures.position.gather(1, either[:, None])[:, 0]
    shown[torch.where(kept >= 0, kept, pictures.position.amax(dim=1))] = True
    return train_clip(
        pictures,
        training.measured,
        training.folder,
        settings=training.settings(clip_recipe.JUDGE),
        device=training.device,
        shown=shown,
    )


def artist_judge(training: Training) -> ArtistJudge:
    """Return a network that tells Twemoji from the other two artists."""
    pictures = training.pictures
    drawings = artists_drawings(pictures)
    held = torch.arange(len(pictures.subjects)) % ARTIST_HELD_OUT_EVERY == 0
    return train_artist_judge(
        {name: pixels[~held[at]] for name, (at, pixels) in drawings.items()},
        {name: pixels[held[at]] for name, (at, pixels) in drawings.items()},
        training.folder,
        settings=training.settings(ARTIST_JUDGE),
        device=training.device,
    )


def artists_drawings(pictures: Pictures) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each artist's subjects as positions, and drawings, uint8, BCHW."""
    drawings: dict[str, tuple[Tensor, Tensor]] = {
        name: (
            pictures.subject_of[pictures.artist_of == at],
            pictures.pixels[pictures.artist_of == at],
        )
        for at, name in enumerate(ARTISTS[:DRAWN_ARTISTS])
    }
    twemoji = read_twemoji()
    known = [at for at, subject in enumerate(pictures.subjects) if subject.code in twemoji]
    pixels = as_tensor([twemoji[pictures.subjects[at].code] for at in known])
    return {**drawings, ARTIST_NAMES[-1]: (torch.tensor(known), pixels)}


def evaluate(training: Training, folder: Path) -> dict[str, float]:
    """Return a starter's figures, and write them and the grids into its cards.

    Args:
        training: Where downloads and judges are.
        folder: The starter.
    """
    models = load_models(folder)
    subjects = training.pictures.subjects
    positions, _ = training.measured
    figures = seen_figures(models, subjects, training.measured)
    asked = asked_subjects(subjects, positions)
    samples = drawn_subjects(models, [subjects[at] for at in asked])
    judge = subject_judge(training)
    names = name_embeddings(judge, clip_tokenizer(), tuple(subjects[at] for at in positions))
    right = torch.tensor([positions.index(at) for at in asked]).repeat(len(SEEDS))
    figures["recognised_top5"] = top_share(picture_embeddings(judge, samples), names, right)
    figures["taken_for_twemoji"] = artist_judge(training).share_of(
        samples, ARTIST_NAMES.index("twemoji")
    )
    card = folder / "stable-diffusion"
    save_grid(samples[: len(asked)], card / "samples" / "subjects.png", columns=20)
    combined = torch.cat([drawn(models, list(COMBINATIONS), seed) for seed in SEEDS[:2]])
    save_grid(combined, card / "samples" / "combinations.png", columns=10)
    write_cards(folder, figures, training)
    return figures


def main() -> None:
    """Evaluate what the command line names, and say the figures as JSON."""
    parser = arguments_of(__doc__)
    parser.add_argument("--starter", type=Path, default=Path("data/starter"))
    arguments = parser.parse_args()
    training = training_of(arguments)
    figures = evaluate(training, arguments.starter)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
