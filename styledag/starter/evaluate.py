"""Measure a starter and write its cards: ``python -m styledag.starter.evaluate``.

Judges that are not kept in a folder yet are trained first: a CLIP with another seed and another
split of the drawings, and a network that tells artists apart.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from styledag.starter import clip_recipe
from styledag.starter.cards import write_cards
from styledag.starter.clip_recipe import name_embeddings, train_clip
from styledag.starter.drawings import read_twemoji
from styledag.starter.figures import (
    COMBINATIONS,
    SEEDS,
    asked_subjects,
    compared_subjects,
    drawn,
    drawn_subjects,
    load_models,
    seen_figures,
)
from styledag.starter.judges import (
    ARTIST_JUDGE,
    ARTIST_NAMES,
    TWEMOJI,
    ArtistJudge,
    SubjectJudge,
    load_judges,
    save_judges,
    train_artist_judge,
)
from styledag.starter.pictures import ARTISTS, DRAWN_ARTISTS, Pictures, as_tensor
from styledag.starter.pixels import parts_of
from styledag.starter.train import Training, arguments_of, save_grid, training_of
from styledag.starter.vocabulary import clip_tokenizer

JUDGE_SPLIT_SEED = 17
JUDGE_SHOWN_SHARE = 0.75
ARTIST_HELD_OUT_EVERY = 10
DISTURBED = ((0.2, 0.0), (0.4, 0.0), (0.15, 0.3), (0.2, 0.5))
"""Fine and coarse noise on the latents of the drawings that the judge of artists is shown."""


def subject_judge(training: Training) -> SubjectJudge:
    """Return a CLIP that was trained with another seed, on another three quarters of drawings.

    It knows only the subjects that it compares samples with.
    """
    pictures = training.pictures
    generator = torch.Generator().manual_seed(JUDGE_SPLIT_SEED)
    shown = torch.rand(len(pictures.pixels), generator=generator) < JUDGE_SHOWN_SHARE
    # A subject of which no drawing were left could never be recognised.
    either = torch.randint(0, DRAWN_ARTISTS, (len(pictures.subjects),), generator=generator)
    kept = pictures.position.gather(1, either[:, None])[:, 0]
    shown[torch.where(kept >= 0, kept, pictures.position.amax(dim=1))] = True
    among = compared_subjects(pictures.subjects)
    shown &= torch.isin(pictures.subject_of, torch.tensor(among))
    clip = train_clip(
        pictures,
        training.measured,
        training.folder,
        settings=training.settings(clip_recipe.JUDGE),
        device=training.device,
        shown=shown,
    )
    compared = tuple(pictures.subjects[at] for at in among)
    names = tuple(subject.name for subject in compared)
    return SubjectJudge(clip, names, name_embeddings(clip, clip_tokenizer(), compared).cpu())


def artist_judge(training: Training) -> ArtistJudge:
    """Return a network that tells Twemoji from the other two artists.

    It is shown the drawings as they are, as the autoencoder gives them back, and from disturbed
    latents, so that what autoencoder and UNet leave on every sample does not decide.
    """
    pictures = training.pictures
    vae = training.autoencoder()
    held = torch.arange(len(pictures.subjects)) % ARTIST_HELD_OUT_EVERY == 0
    held |= torch.isin(torch.arange(len(held)), torch.tensor(asked_subjects(pictures.subjects)))
    shown, faulty, held_out = {}, {}, {}
    for name, (at, pixels) in artists_drawings(pictures).items():
        hidden = held[at]
        again = disturbed(vae, pixels, 0.0, 0.0, device=training.device)
        shown[name] = torch.cat([pixels[~hidden], again[~hidden]])
        held_out[name] = again[hidden]
        faulty[name] = torch.cat(
            [disturbed(vae, pixels[~hidden], *noise, device=training.device) for noise in DISTURBED]
        )
    return train_artist_judge(
        shown,
        faulty,
        held_out,
        training.folder,
        settings=training.settings(ARTIST_JUDGE),
        device=training.device,
    )


def disturbed(
    vae: Any, pixels: Tensor, fine: float, coarse: float, *, device: torch.device
) -> Tensor:
    """Return what the autoencoder gives back of latents with noise; uint8, BCHW.

    Args:
        vae: The autoencoder.
        pixels: Drawings, uint8. # BCHW
        fine: Standard deviation of noise on each scaled latent.
        coarse: The same of noise that is smooth over a quarter of the picture.
        device: Where to compute.
    """
    generator = torch.Generator().manual_seed(JUDGE_SPLIT_SEED)
    made = []
    with torch.no_grad():
        for part in parts_of(pixels):
            latents = vae.encode(part.to(device).float() / 127.5 - 1).latent_dist.mean
            smooth = torch.randn(*latents.shape[:2], 4, 4, generator=generator)
            smooth = interpolate(smooth, latents.shape[2:], mode="bicubic")
            noise = fine * torch.randn(latents.shape, generator=generator) + coarse * smooth
            latents += noise.to(device) / vae.config.scaling_factor
            decoded = (vae.decode(latents).sample.float() / 2 + 0.5).clamp(0, 1)
            made.append((decoded * 255).round().to(torch.uint8).cpu())
    return torch.cat(made)


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


def judges_of(training: Training, kept: Path | None = None) -> tuple[ArtistJudge, SubjectJudge]:
    """Return the judges of artists and of subjects.

    Args:
        training: Where to train them.
        kept: A folder that keeps them: they are read from it, or else written to it.
    """
    if kept and kept.is_dir():
        return load_judges(kept)
    judges = artist_judge(training), subject_judge(training)
    if kept:
        save_judges(*judges, kept)
    return judges


def evaluate(
    training: Training, folder: Path, judges: tuple[ArtistJudge, SubjectJudge]
) -> dict[str, float]:
    """Return a starter's figures, and write them and the grids into its cards.

    Args:
        training: Where the downloads are.
        folder: The starter.
        judges: Of artists and of subjects.
    """
    artists, recognising = judges
    models = load_models(folder)
    subjects = training.pictures.subjects
    figures = seen_figures(models, subjects, training.measured)
    asked = [subjects[at] for at in asked_subjects(subjects)]
    samples = drawn_subjects(models, asked)
    names = [subject.name for subject in asked] * len(SEEDS)
    recognised = recognising.recognised(samples, names).float()
    figures["recognised_top5"] = float(recognised.mean())
    figures["taken_for_twemoji"] = artists.share_of(samples, TWEMOJI)
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
    parser.add_argument("--judges", type=Path, help="folder that keeps the judges")
    arguments = parser.parse_args()
    training = training_of(arguments)
    judges = judges_of(training, arguments.judges)
    figures = evaluate(training, arguments.starter, judges)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
