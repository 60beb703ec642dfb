"""Judges of the starter's samples, trained apart from everything that is shipped."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from styledag.starter.clip_recipe import picture_embeddings
from styledag.starter.loop import Loop, LoopSettings
from styledag.starter.pixels import parts_of, shifted

if TYPE_CHECKING:
    from transformers import CLIPModel

ARTIST_NAMES = ("noto", "fluent", "twemoji")
TWEMOJI = ARTIST_NAMES.index("twemoji")
BATCH_SIZE = 64
COLOURS, HIDDEN = 8, 64
"""Steps of each of red, green and blue that colours are counted in, and the network's width."""
WIDTHS = (24, 48, 64, 96)
"""Channels of the half that sees strokes, each level at half the resolution of the one before."""
STROKES_SHARE = 0.5
"""What the strokes' half counts beside the palette's, whose probabilities are less sharp: with it,
both together give unseen drawings, disturbed ones too, the least mean negative log-likelihood."""
STEPS = (0.0, 0.004, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5, 2.0)
"""Limits between which neighbouring pixels' differences are counted."""
INK = 0.04
"""How far from white a pixel is that belongs to the drawing."""

_VISION = ("vision_model.", "visual_projection.")

ARTIST_JUDGE = LoopSettings(
    name="artist-judge", steps=2000, learning_rate=2e-3, warmup_steps=50, decay_steps=1500,
    weight_decay=0.05, ema_decay=0.99, bfloat16_on=(), seed=23,
)  # fmt: skip


class SubjectJudge:
    """Says whether a picture shows its subject: a CLIP that compares it with many names.

    Args:
        clip: A CLIP that was trained apart; only its vision tower is used.
        names: Names that pictures are compared with.
        embeddings: Their unit vectors. # [names, width]
    """

    def __init__(self, clip: "CLIPModel", names: tuple[str, ...], embeddings: Tensor) -> None:
        self.clip, self.names, self.embeddings = clip, names, embeddings

    def recognised(self, pixels: Tensor, names: list[str], *, top: int = 5) -> Tensor:
        """Return of each picture whether its name is among the nearest; bool, B.

        Args:
            pixels: Between 0 and 1. # BCHW
            names: What each should show.
            top: How many names count as nearest.
        """
        likeness = picture_embeddings(self.clip, pixels) @ self.embeddings.T
        right = torch.tensor([self.names.index(name) for name in names])
        return (likeness.topk(top, dim=1).indices == right[:, None]).any(dim=1)


class ArtistJudge(nn.Module):
    """A small network that says whose drawing it sees, from two sides.

    One half is told which colours there are and how far neighbouring pixels differ, and not where.
    The other sees the drawing and the differences of its neighbouring pixels through a few
    convolutions, and of what they find on the drawing itself, at three resolutions, only means and
    deviations: strokes and shading, and little of the subject.
    """

    def __init__(self) -> None:
        super().__init__()
        width = COLOURS**3 + 2 * (len(STEPS) - 1)
        self.head = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.SiLU(), nn.Dropout(0.3), nn.Linear(HIDDEN, 3)
        )
        self.strokes = nn.ModuleList(
            nn.Sequential(
                _convolution(width, wider, size=3 if at else 5, stride=2),
                _convolution(wider, wider),
            )
            for at, (width, wider) in enumerate(itertools.pairwise((9, *WIDTHS)))
        )
        self.strokes_head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * sum(WIDTHS[1:]), 3))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return a logit for each artist: BCHW between 0 and 1 gives [batch, artists]."""
        return self.by_palette(pixels) + STROKES_SHARE * self.by_strokes(pixels)

    def by_palette(self, pixels: Tensor) -> Tensor:
        """Return the logarithms of the first half's probabilities; [batch, artists]."""
        said: Tensor = self.head(4 * palette_and_shades(pixels) - 0.5).float()
        return said.log_softmax(dim=1)

    def by_strokes(self, pixels: Tensor) -> Tensor:
        """Return the logarithms of the other half's probabilities; [batch, artists]."""
        inked, found, seen = _inked(pixels)[:, None], with_steps(pixels), []
        for at, level in enumerate(self.strokes):
            found = level(found)
            if at:
                seen += _moments(found.float(), inked)
        said: Tensor = self.strokes_head(torch.cat(seen, dim=1)).float()
        return said.log_softmax(dim=1)

    def share_of(self, pixels: Tensor, artist: int) -> float:
        """Return the share of pictures, BCHW between 0 and 1, that it holds for an artist's."""
        with torch.no_grad():
            said = torch.cat([self(part).argmax(dim=1) for part in parts_of(pixels)])
        return float((said == artist).float().mean())


def _convolution(width: int, wider: int, *, size: int = 3, stride: int = 1) -> nn.Module:
    """Return a convolution that keeps the picture's size, divided by its stride."""
    convolution = nn.Conv2d(width, wider, size, stride, padding=size // 2)
    return nn.Sequential(convolution, nn.GroupNorm(8, wider), nn.SiLU())


def _moments(found: Tensor, inked: Tensor) -> list[Tensor]:
    """Return means and deviations where a picture is drawn on: BCHW and B1HW give twice BC."""
    mask = functional.adaptive_max_pool2d(inked, list(found.shape[2:]))
    count = mask.sum(dim=(2, 3)).clamp(min=1)
    mean = (found * mask).sum(dim=(2, 3)) / count
    squares = (found - mean[:, :, None, None]).square() * mask
    return [mean, (squares.sum(dim=(2, 3)) / count + 1e-4).sqrt()]


def _inked(pixels: Tensor) -> Tensor:
    """Return 1 where something is drawn, 0 elsewhere: BCHW gives BHW."""
    return ((1 - pixels).amax(dim=1) > INK).float()


def with_steps(pixels: Tensor) -> Tensor:
    """Return pictures and their differences to the right and below, B9HW.

    Of differences the square root is taken, with their sign: shading is far fainter than outlines.

    Args:
        pixels: Between 0 and 1. # BCHW
    """
    across = functional.pad(pixels[..., 1:] - pixels[..., :-1], (0, 1))
    down = functional.pad(pixels[:, :, 1:] - pixels[:, :, :-1], (0, 0, 0, 1))
    steps = torch.cat([across, down], dim=1)
    roots = (steps.abs() + 1e-4).sqrt() - 1e-2
    return torch.cat([2 * pixels - 1, 2 * steps.sign() * roots], dim=1)


def palette_and_shades(pixels: Tensor) -> Tensor:
    """Return what tells artists apart; [batch, colours and steps], square roots of shares.

    Args:
        pixels: Between 0 and 1, on white. # BCHW
    """
    inked = _inked(pixels)
    inked = inked / inked.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    place = pixels * (COLOURS - 1)
    low = place.floor().clamp(max=COLOURS - 2)
    part, low = place - low, low.long()
    palette = pixels.new_zeros(len(pixels), COLOURS**3)
    for corner in itertools.product((0, 1), repeat=3):
        share, at = inked, torch.zeros_like(low[:, 0])
        for channel, up in enumerate(corner):
            share = share * (part[:, channel] if up else 1 - part[:, channel])
            at = at * COLOURS + low[:, channel] + up
        palette.scatter_add_(1, at.flatten(1), share.flatten(1))
    across = (pixels[..., 1:] - pixels[..., :-1]).abs().amax(dim=1), inked[:, :, 1:]
    down = (pixels[:, :, 1:] - pixels[:, :, :-1]).abs().amax(dim=1), inked[:, 1:]
    shades = [
        ((step >= least) & (step < most)).float().mul(share).sum(dim=(1, 2))
        for step, share in (across, down)
        for least, most in itertools.pairwise(STEPS)
    ]
    return torch.cat([palette, torch.stack(shades, dim=1)], dim=1).sqrt()


def train_artist_judge(
    drawings: dict[str, Tensor],
    disturbed: dict[str, Tensor],
    held_out: dict[str, Tensor],
    folder: Path,
    *,
    settings: LoopSettings,
    device: torch.device,
) -> ArtistJudge:
    """Return a judge that tells artists apart.

    Args:
        drawings: Each artist's drawings of subjects, uint8. # BCHW
        disturbed: The same with a generator's faults, for the half that sees strokes: counted
            finely, colours and shades would only be blurred by them. # BCHW
        held_out: The same of other subjects, to measure on.
        folder: Where state and log go.
        settings: Length and rates.
        device: Where to train.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        judge = ArtistJudge().to(device)
    strokes = {name: torch.cat([of, disturbed[name]]) for name, of in drawings.items()}

    def loss_of(generator: torch.Generator) -> Tensor:
        artists = torch.randint(0, len(ARTIST_NAMES), (BATCH_SIZE,), generator=generator)
        plain = _drawn_of(drawings, artists, generator).to(device)
        faulty = shifted(_drawn_of(strokes, artists, generator).to(device), generator)
        # Dropout draws from the global state, which is lent to it.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(0, 2**31, (), generator=generator)))
            sides = judge.by_palette(plain), judge.by_strokes(faulty)
        right = artists.to(device)
        return functional.nll_loss(sides[0], right) + functional.nll_loss(sides[1], right)

    loop = Loop(judge, settings, folder, device)
    loop.run(loss_of, report=_right_of(judge, held_out, device), report_every_steps=250)
    loop.adopt_averages()
    return judge


def _drawn_of(drawings: dict[str, Tensor], artists: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random drawing by each of the artists, between 0 and 1; BCHW."""
    chosen = []
    for artist in artists.tolist():
        of_artist = drawings[ARTIST_NAMES[artist]]
        chosen.append(of_artist[torch.randint(0, len(of_artist), (), generator=generator)])
    return torch.stack(chosen).float() / 255


def save_judges(artists: ArtistJudge, subjects: SubjectJudge, folder: Path) -> None:
    """Write judges small enough to lie beside the tests, in float16.

    Args:
        artists: Says whose drawing it is.
        subjects: Says whether it shows its subject.
        folder: Where the two files go.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    of_artists = {name: value.half() for name, value in artists.state_dict().items()}
    save_file(of_artists, folder / "artists.safetensors")
    state = subjects.clip.state_dict().items()
    kept = {name: value.half() for name, value in state if name.startswith(_VISION)}
    kept["names"] = subjects.embeddings.half()
    said = {"names": json.dumps(subjects.names)}
    save_file(kept, folder / "subjects.safetensors", metadata=said)


def load_judges(folder: Path) -> tuple[ArtistJudge, SubjectJudge]:
    """Return the judges that :func:`save_judges` wrote, in float32."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    from styledag.starter.clip import build_clip
    from styledag.starter.vocabulary import clip_tokenizer

    artists, clip = ArtistJudge(), build_clip(clip_tokenizer())
    artists.load_state_dict(_single(load_file(folder / "artists.safetensors")))
    path = folder / "subjects.safetensors"
    kept = _single(load_file(path))
    embeddings = kept.pop("names")
    clip.load_state_dict({**clip.state_dict(), **kept})
    with safe_open(path, "pt") as file:
        names = tuple(json.loads(file.metadata()["names"]))
    return artists.eval(), SubjectJudge(clip.eval(), names, embeddings)


def _single(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() for name, value in tensors.items()}


def _right_of(
    judge: ArtistJudge, held_out: dict[str, Tensor], device: torch.device
) -> Callable[[], dict[str, float]]:
    def report() -> dict[str, float]:
        return {
            name: judge.share_of(held_out[name].to(device).float() / 255, artist)
            for artist, name in enumerate(ARTIST_NAMES)
        }

    return report
