"""Judges of the starter's samples, trained apart from everything that is shipped."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from styledag.starter.loop import Loop, LoopSettings
from styledag.starter.pixels import blurred, moved, parts_of

ARTIST_NAMES = ("noto", "fluent", "twemoji")
TWEMOJI = ARTIST_NAMES.index("twemoji")
BATCH_SIZE = 32
WIDTHS = (24, 48, 96)

ARTIST_JUDGE = LoopSettings(
    name="artist-judge", steps=300, learning_rate=2e-3, warmup_steps=30, decay_steps=200,
    weight_decay=0.05, ema_decay=0.99, seed=23,
)  # fmt: skip


class ArtistJudge(nn.Module):
    """A small convolutional network that says whose drawing it sees, from strokes and shades.

    It pools over the whole picture what it sees in small parts, so the subject tells it little.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in WIDTHS:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU()]
            layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.SiLU()]
            before = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(2 * before, len(ARTIST_NAMES))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return a logit for each artist: BCHW between 0 and 1 gives [batch, artists]."""
        seen = self.features(2 * pixels - 1)
        pooled = torch.cat([seen.mean(dim=(2, 3)), seen.amax(dim=(2, 3))], dim=1)
        logits: Tensor = self.head(pooled)
        return logits

    def share_of(self, pixels: Tensor, artist: int) -> float:
        """Return the share of pictures, BCHW between 0 and 1, that it holds for an artist's."""
        with torch.no_grad():
            said = torch.cat([self(part).argmax(dim=1) for part in parts_of(pixels)])
        return float((said == artist).float().mean())


def train_artist_judge(
    drawings: dict[str, Tensor],
    held_out: dict[str, Tensor],
    folder: Path,
    *,
    settings: LoopSettings,
    device: torch.device,
) -> ArtistJudge:
    """Return a judge that tells artists apart.

    It is shown blurred and moved drawings too, so that what a sampler leaves unsharp does not
    decide.

    Args:
        drawings: Each artist's drawings of subjects, uint8. # BCHW
        held_out: The same of other subjects, to measure on.
        folder: Where state and log go.
        settings: Length and rates.
        device: Where to train.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        judge = ArtistJudge().to(device)

    def loss_of(generator: torch.Generator) -> Tensor:
        artists = torch.randint(0, len(ARTIST_NAMES), (BATCH_SIZE,), generator=generator)
        chosen = []
        for artist in artists.tolist():
            of_artist = drawings[ARTIST_NAMES[artist]]
            chosen.append(of_artist[torch.randint(0, len(of_artist), (), generator=generator)])
        pixels = torch.stack(chosen).to(device).float() / 255
        pixels = moved(pixels, generator, turn=0.05, scale=0.08)
        pixels = blurred(pixels, generator, share=0.3)
        pixels = pixels + 0.02 * torch.randn(pixels.shape, generator=generator).to(device)
        return functional.cross_entropy(judge(pixels.clamp(0, 1)), artists.to(device))

    loop = Loop(judge, settings, folder, device)
    loop.run(loss_of, report=_right_of(judge, held_out, device), report_every_steps=100)
    loop.adopt_averages()
    return judge


def _right_of(
    judge: ArtistJudge, held_out: dict[str, Tensor], device: torch.device
) -> Callable[[], dict[str, float]]:
    def report() -> dict[str, float]:
        return {
            name: judge.share_of(held_out[name].to(device).float() / 255, artist)
            for artist, name in enumerate(ARTIST_NAMES)
        }

    return report
