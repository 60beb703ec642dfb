"""Train the judge of artists: on Noto's, Fluent's and Twemoji's drawings of the same subjects."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import interpolate

from styledag.demo.judge import ARTIST_NAMES, ArtistJudge
from tools.starter.artist_judge import TWEMOJI, share_of_artist
from tools.starter.drawings import read_artist, read_emoji, read_twemoji
from tools.starter.figures import asked_subjects
from tools.starter.images import ARTISTS, DRAWN_ARTISTS, Images, as_tensor
from tools.starter.loop import Loop, LoopSettings
from tools.starter.pixels import parts_of, recoloured, shifted
from tools.starter.subjects import Subject

BATCH_SIZE = 64
HELD_OUT_EVERY = 10
"""Of so many subjects one is held out, and all that samples are asked of."""
DISTURBED = ((0.2, 0.0), (0.4, 0.0), (0.15, 0.3), (0.2, 0.5))
"""Fine and coarse noise on latents of what is shown."""
NOISE_SEED = 17
COLOURS_STRENGTH = 0.04
"""How far the colours drift that the palette's half is shown."""

SETTINGS = LoopSettings(
    name="artist-judge", steps=3000, learning_rate=2e-3, warmup_steps=50, decay_steps=2250,
    weight_decay=0.05, ema_decay=0.99, bfloat16=False, seed=23,
)  # fmt: skip


@dataclass(frozen=True)
class JudgeDrawings:
    """Each artist's drawings, uint8, BCHW.

    Attributes:
        shown: As they are, as the autoencoder gives them back, and from disturbed latents.
        held_out: Of other subjects, as the autoencoder gives them back, to measure on.
    """

    shown: dict[str, Tensor]
    held_out: dict[str, Tensor]


def judge_drawings(
    images: Images, others: Mapping[str, Tensor], vae: Any, *, device: torch.device
) -> JudgeDrawings:
    """Return what a judge is shown: drawings, also with the faults that samples have.

    So what autoencoder and UNet leave on every sample does not decide.

    Args:
        images: Noto's and Fluent's drawings, and the subjects.
        others: Each artist's drawings of what is no subject, uint8. # BCHW
        vae: The autoencoder.
        device: Where to compute.
    """
    kept = ~_held_out(images)
    shown = {}
    for name, (at, pixels) in artists_drawings(images).items():
        seen = torch.cat([pixels[kept[at]], others[name]])
        faulty = [disturbed(vae, seen, *noise, device=device) for noise in ((0.0, 0.0), *DISTURBED)]
        shown[name] = torch.cat([seen, *faulty])
    return JudgeDrawings(shown, held_out_drawings(images, vae, device=device))


def other_drawings(packages: Path, subjects: Iterable[Subject]) -> dict[str, Tensor]:
    """Return each artist's drawings of faces, people, signs and all else that is no subject.

    Args:
        packages: Folder of the packages' archives.
        subjects: The subjects.

    Returns:
        By artist, uint8. # BCHW
    """
    known = {subject.code for subject in subjects}
    codes = [
        row.code
        for row in read_emoji(packages)
        if row.category not in ("Flags", "Component") and row.code not in known
    ]
    drawn = [read_artist(packages, artist) for artist in ARTISTS[:DRAWN_ARTISTS]]
    return {
        name: as_tensor([by_code[code] for code in codes if code in by_code])
        for name, by_code in zip(ARTIST_NAMES, (*drawn, read_twemoji()), strict=True)
    }


def held_out_drawings(images: Images, vae: Any, *, device: torch.device) -> dict[str, Tensor]:
    """Return each artist's drawings that no judge is shown, as the autoencoder gives them back.

    Args:
        images: Noto's and Fluent's drawings, and the subjects.
        vae: The autoencoder.
        device: Where to compute.
    """
    held = _held_out(images)
    return {
        name: disturbed(vae, pixels[held[at]], 0.0, 0.0, device=device)
        for name, (at, pixels) in artists_drawings(images).items()
    }


def judge_figures(
    judge: ArtistJudge, held_out: Mapping[str, Tensor], *, device: torch.device
) -> dict[str, float]:
    """Return how often the judge is right about drawings of subjects that it never saw.

    Args:
        judge: The judge.
        held_out: Such drawings of each artist, uint8. # BCHW
        device: Where the judge is.
    """
    unseen = [held_out[name].to(device).float() / 255 for name in ARTIST_NAMES]
    right = [share_of_artist(judge, drawn, artist) for artist, drawn in enumerate(unseen)]
    others = torch.cat([drawn for artist, drawn in enumerate(unseen) if artist != TWEMOJI])
    return {
        "artist_named": sum(right) / len(right),
        "others_taken_for_twemoji": share_of_artist(judge, others, TWEMOJI),
    }


def _held_out(images: Images) -> Tensor:
    """Return which subjects the judge is not shown; bool, [subjects]."""
    every = torch.arange(len(images.subjects))
    asked = torch.tensor(asked_subjects(images.subjects))
    return (every % HELD_OUT_EVERY == 0) | torch.isin(every, asked)


def train_artist_judge(
    draw: Callable[[], JudgeDrawings], folder: Path, *, settings: LoopSettings, device: torch.device
) -> ArtistJudge:
    """Return a trained judge of artists.

    Args:
        draw: Gives what to learn from, and to measure on; not asked once the judge is trained.
        folder: Where state and log go.
        settings: Length and rates.
        device: Where to train.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        judge: ArtistJudge = ArtistJudge().to(device)
    loop = Loop(judge, settings, folder, device)
    if loop.step < settings.steps:
        drawings = draw()
        loop.run(
            _loss_of(judge, drawings, device),
            report=lambda: judge_figures(judge, drawings.held_out, device=device),
            report_every_steps=250,
        )
    loop.adopt_averages()
    return judge


def _loss_of(
    judge: ArtistJudge, drawings: JudgeDrawings, device: torch.device
) -> Callable[[torch.Generator], Tensor]:
    def loss_of(generator: torch.Generator) -> Tensor:
        artists = torch.randint(0, len(ARTIST_NAMES), (BATCH_SIZE,), generator=generator)
        drawn = _drawn_of(drawings.shown, artists, generator).to(device)
        drifted = recoloured(drawn, generator, strength=COLOURS_STRENGTH)
        moved = shifted(drawn, generator)
        # Dropout draws from the global random state, which is restored afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(0, 2**31, (), generator=generator)))
            sides = judge.by_palette(drifted), judge.by_strokes(moved)
        right = artists.to(device)
        return functional.nll_loss(sides[0], right) + functional.nll_loss(sides[1], right)

    return loss_of


def _drawn_of(drawings: dict[str, Tensor], artists: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random drawing by each of the artists, between 0 and 1; BCHW."""
    chosen = []
    for artist in artists.tolist():
        of_artist = drawings[ARTIST_NAMES[artist]]
        chosen.append(of_artist[torch.randint(0, len(of_artist), (), generator=generator)])
    return torch.stack(chosen).float() / 255


def disturbed(
    vae: Any, pixels: Tensor, fine: float, coarse: float, *, device: torch.device
) -> Tensor:
    """Return what the autoencoder gives back of latents with noise; uint8, BCHW.

    Args:
        vae: The autoencoder.
        pixels: Drawings, uint8. # BCHW
        fine: Standard deviation of noise on each scaled latent.
        coarse: The same of noise that is smooth over a quarter of the image.
        device: Where to compute.
    """
    generator = torch.Generator().manual_seed(NOISE_SEED)
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


def artists_drawings(images: Images) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each artist's subjects as positions, and drawings, uint8, BCHW."""
    drawings: dict[str, tuple[Tensor, Tensor]] = {
        name: (
            images.subject_of[images.artist_of == at],
            images.pixels[images.artist_of == at],
        )
        for at, name in enumerate(ARTISTS[:DRAWN_ARTISTS])
    }
    twemoji = read_twemoji()
    known = [at for at, subject in enumerate(images.subjects) if subject.code in twemoji]
    pixels = as_tensor([twemoji[images.subjects[at].code] for at in known])
    return {**drawings, ARTIST_NAMES[-1]: (torch.tensor(known), pixels)}
