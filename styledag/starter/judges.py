"""Judges of the starter's samples, trained apart from everything that is shipped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from styledag.starter.clip_recipe import picture_embeddings
from styledag.starter.loop import Loop, LoopSettings
from styledag.starter.pixels import blurred, moved, parts_of

if TYPE_CHECKING:
    from transformers import CLIPModel

ARTIST_NAMES = ("noto", "fluent", "twemoji")
TWEMOJI = ARTIST_NAMES.index("twemoji")
BATCH_SIZE = 32
WIDTHS = (24, 48, 96)

_VISION = ("vision_model.", "visual_projection.")

ARTIST_JUDGE = LoopSettings(
    name="artist-judge", steps=1000, learning_rate=3e-3, warmup_steps=30, decay_steps=600,
    weight_decay=0.05, ema_decay=0.99, seed=23,
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
        pixels = blurred(pixels, generator, share=0.15)
        pixels = pixels + 0.01 * torch.randn(pixels.shape, generator=generator).to(device)
        return functional.cross_entropy(judge(pixels.clamp(0, 1)), artists.to(device))

    loop = Loop(judge, settings, folder, device)
    loop.run(loss_of, report=_right_of(judge, held_out, device), report_every_steps=100)
    loop.adopt_averages()
    return judge


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
