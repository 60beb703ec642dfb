"""Measure a starter and write its cards: ``python -m tools.starter.evaluate``.

The judge of subjects, a CLIP with another seed and another split of the drawings, is trained first
if it is not kept in a file yet; that of artists lies in the starter.
"""

import json
import sys
from pathlib import Path

import torch

from tools.starter import clip_recipe
from tools.starter.artist_judge import TWEMOJI, load_artist_judge, share_of_artist
from tools.starter.artist_judge_recipe import held_out_drawings, judge_figures
from tools.starter.cards import write_cards
from tools.starter.clip_recipe import name_embeddings, train_clip
from tools.starter.figures import (
    COMBINATIONS,
    SEEDS,
    asked_subjects,
    compared_subjects,
    drawn,
    drawn_subjects,
    load_models,
    seen_figures,
)
from tools.starter.images import DRAWN_ARTISTS
from tools.starter.subject_judge import SubjectJudge, load_subject_judge, save_subject_judge
from tools.starter.train import Training, arguments_of, save_grid, training_of
from tools.starter.vocabulary import clip_tokenizer

CPU = torch.device("cpu")
JUDGE_SPLIT_SEED = 17
JUDGE_SHOWN_SHARE = 0.75


def train_subject_judge(training: Training) -> SubjectJudge:
    """Return a CLIP that was trained with another seed, on another three quarters of drawings.

    It knows only the subjects that it compares samples with.
    """
    images = training.images
    generator = torch.Generator().manual_seed(JUDGE_SPLIT_SEED)
    shown = torch.rand(len(images.pixels), generator=generator) < JUDGE_SHOWN_SHARE
    # A subject of which no drawing were left could never be recognised.
    either = torch.randint(0, DRAWN_ARTISTS, (len(images.subjects),), generator=generator)
    kept = images.position.gather(1, either[:, None])[:, 0]
    shown[torch.where(kept >= 0, kept, images.position.amax(dim=1))] = True
    among = compared_subjects(images.subjects)
    shown &= torch.isin(images.subject_of, torch.tensor(among))
    clip = train_clip(
        images,
        training.measured,
        training.folder,
        settings=training.settings(clip_recipe.JUDGE),
        device=training.device,
        shown=shown,
    )
    compared = tuple(images.subjects[at] for at in among)
    names = tuple(subject.name for subject in compared)
    return SubjectJudge(clip, names, name_embeddings(clip, clip_tokenizer(), compared).cpu())


def subject_judge(training: Training, kept: Path | None = None) -> SubjectJudge:
    """Return the judge of subjects.

    Args:
        training: Where to train it.
        kept: A file that keeps it: it is read from there, or else written there.
    """
    if kept and kept.exists():
        return load_subject_judge(kept)
    judge = train_subject_judge(training)
    if kept:
        save_subject_judge(judge, kept)
    return judge


def evaluate(training: Training, folder: Path, subject_judge: SubjectJudge) -> dict[str, float]:
    """Return a starter's figures, and write them and the grids into its cards.

    Args:
        training: Where the downloads are.
        folder: The starter.
        subject_judge: Classifies whether a sample shows its subject.
    """
    artists = load_artist_judge(folder / "judge")
    models = load_models(folder)
    subjects = training.images.subjects
    figures = seen_figures(models, subjects, training.measured)
    asked = [subjects[at] for at in asked_subjects(subjects)]
    samples = drawn_subjects(models, asked)
    names = [subject.name for subject in asked] * len(SEEDS)
    recognised = subject_judge.recognised(samples, names).float()
    figures["recognised_top5"] = float(recognised.mean())
    figures["taken_for_twemoji"] = share_of_artist(artists, samples, TWEMOJI)
    held_out = held_out_drawings(training.images, models.vae, device=CPU)
    figures |= judge_figures(artists, held_out, device=CPU)
    card = folder / "stable-diffusion"
    save_grid(samples[: len(asked)], card / "samples" / "subjects.png", columns=20)
    combined = torch.cat([drawn(models, list(COMBINATIONS), seed) for seed in SEEDS[:2]])
    save_grid(combined, card / "samples" / "combinations.png", columns=10)
    write_cards(folder, figures, training)
    return figures


def main() -> None:
    """Evaluate the starter that the command line names, and print the figures as JSON."""
    parser = arguments_of(__doc__)
    parser.add_argument("--starter", type=Path, default=Path("data/starter"))
    parser.add_argument("--judge", type=Path, help="file that keeps the judge of subjects")
    arguments = parser.parse_args()
    training = training_of(arguments)
    judge = subject_judge(training, arguments.judge)
    figures = evaluate(training, arguments.starter, judge)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
