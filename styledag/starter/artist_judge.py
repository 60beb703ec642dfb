"""Says whose drawing an image is: an image classifier that was trained apart from the rest.

Its folder is one that transformers reads, ``AutoModelForImageClassification`` and all, once this
module was imported.
"""

import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
    ViTImageProcessorPil,
)
from transformers.modeling_outputs import ImageClassifierOutput

from styledag.starter.clip import SIZE_PX
from styledag.starter.pixels import parts_of
from styledag.starter.weights import save_half

ARTIST_NAMES = ("noto", "fluent", "twemoji")
TWEMOJI = ARTIST_NAMES.index("twemoji")
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


class ArtistJudgeConfig(PreTrainedConfig):  # type: ignore[misc]
    """Names the artists: a judge's form is fixed."""

    model_type = "styledag-artist-judge"

    def __init__(self, **options: Any) -> None:
        options.setdefault("id2label", dict(enumerate(ARTIST_NAMES)))
        options["label2id"] = {name: int(at) for at, name in options["id2label"].items()}
        super().__init__(**options)


class ArtistJudge(PreTrainedModel):  # type: ignore[misc]
    """A small network that says whose drawing it sees, from two sides.

    One half is told which colours there are and how far neighbouring pixels differ, and not where.
    The other sees the drawing and the differences of its neighbouring pixels through a few
    convolutions, and of what they find on the drawing itself, at three resolutions, only means and
    deviations: strokes and shading, and little of the subject.
    """

    config_class = ArtistJudgeConfig
    main_input_name = "pixel_values"

    def __init__(self, config: ArtistJudgeConfig | None = None) -> None:
        super().__init__(config or ArtistJudgeConfig())
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
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave torch's own initial weights."""

    def forward(self, pixel_values: Tensor) -> ImageClassifierOutput:
        """Return a logit for each artist: BCHW between 0 and 1 gives [batch, artists]."""
        by_strokes = STROKES_SHARE * self.by_strokes(pixel_values)
        return ImageClassifierOutput(logits=self.by_palette(pixel_values) + by_strokes)

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
        """Return the share of images, BCHW between 0 and 1, that it holds for an artist's."""
        with torch.no_grad():
            said = torch.cat([self(part).logits.argmax(dim=1) for part in parts_of(pixels)])
        return float((said == artist).float().mean())


def _convolution(width: int, wider: int, *, size: int = 3, stride: int = 1) -> nn.Module:
    """Return a convolution that keeps the image's size, divided by its stride."""
    convolution = nn.Conv2d(width, wider, size, stride, padding=size // 2)
    return nn.Sequential(convolution, nn.GroupNorm(8, wider), nn.SiLU())


def _moments(found: Tensor, inked: Tensor) -> list[Tensor]:
    """Return means and deviations where an image is drawn on: BCHW and B1HW give twice BC."""
    mask = functional.adaptive_max_pool2d(inked, list(found.shape[2:]))
    count = mask.sum(dim=(2, 3)).clamp(min=1)
    mean = (found * mask).sum(dim=(2, 3)) / count
    squares = (found - mean[:, :, None, None]).square() * mask
    return [mean, (squares.sum(dim=(2, 3)) / count + 1e-4).sqrt()]


def _inked(pixels: Tensor) -> Tensor:
    """Return 1 where something is drawn, 0 elsewhere: BCHW gives BHW."""
    return ((1 - pixels).amax(dim=1) > INK).float()


def with_steps(pixels: Tensor) -> Tensor:
    """Return images and their differences to the right and below, B9HW.

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


def save_artist_judge(judge: ArtistJudge, folder: Path) -> None:
    """Write a judge with its image processor, as transformers reads them; it becomes float16."""
    save_half(judge, folder)
    size = {"height": SIZE_PX, "width": SIZE_PX}
    ViTImageProcessorPil(size=size, do_normalize=False).save_pretrained(folder)


def load_artist_judge(folder: Path) -> ArtistJudge:
    """Return the judge that :func:`save_artist_judge` wrote, in float32."""
    judge: ArtistJudge = ArtistJudge.from_pretrained(folder).eval()
    return judge


AutoConfig.register(ArtistJudgeConfig.model_type, ArtistJudgeConfig)
AutoModelForImageClassification.register(ArtistJudgeConfig, ArtistJudge)
