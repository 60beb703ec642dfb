"""The model type ``styledag-artist-judge``: an image classifier that names an image's artist.

transformers' ``Auto`` classes read it once this module is imported: the entry point of its model
type, in the group ``styledag.model_types``, does that for every classifier that a style file names.
"""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import ImageClassifierOutput

ARTIST_NAMES = ("noto", "fluent", "twemoji")
COLOURS, HIDDEN = 8, 64
"""Histogram bins for each of red, green and blue, and the width of the hidden layer."""
WIDTHS = (24, 48, 64, 96)
"""Channels of the strokes branch, each level at half the resolution of the one before."""
STROKES_SHARE = 0.5
"""Weight of the strokes branch relative to the palette branch. It minimises the mean negative
log-likelihood of held-out drawings, with and without noise."""
STEPS = (0.0, 0.004, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5, 2.0)
"""Bin edges of the histogram of differences between neighbouring pixels."""
INK = 0.04
"""Least difference from white, in any channel, of a pixel that belongs to the drawing."""


class ArtistJudgeConfig(PreTrainedConfig):  # type: ignore[misc]
    """The artists' names as labels; the architecture has no options."""

    model_type = "styledag-artist-judge"

    def __init__(self, **options: Any) -> None:
        options.setdefault("id2label", dict(enumerate(ARTIST_NAMES)))
        options["label2id"] = {name: int(at) for at, name in options["id2label"].items()}
        super().__init__(**options)


class ArtistJudge(PreTrainedModel):  # type: ignore[misc]
    """A small network that classifies a drawing by its artist, with two branches.

    The palette branch sees a histogram of colours and one of the differences between neighbouring
    pixels, and no positions. The strokes branch sees the drawing and those differences through a
    few convolutions and keeps, at three resolutions, only the means and standard deviations over
    the drawn pixels: strokes and shading, and little of the subject.
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
        """Keep the initial weights of torch's own layers."""

    def forward(self, pixel_values: Tensor) -> ImageClassifierOutput:
        """Return a logit for each artist, ``[batch, artists]``, of pixels BCHW between 0 and 1."""
        by_strokes = STROKES_SHARE * self.by_strokes(pixel_values)
        return ImageClassifierOutput(logits=self.by_palette(pixel_values) + by_strokes)

    def by_palette(self, pixels: Tensor) -> Tensor:
        """Return the palette branch's log-probabilities, ``[batch, artists]``."""
        logits: Tensor = self.head(4 * palette_and_shades(pixels) - 0.5).float()
        return logits.log_softmax(dim=1)

    def by_strokes(self, pixels: Tensor) -> Tensor:
        """Return the strokes branch's log-probabilities, ``[batch, artists]``."""
        inked, features, moments = _inked(pixels)[:, None], with_steps(pixels), []
        for depth, level in enumerate(self.strokes):
            features = level(features)
            if depth:
                moments += _moments(features.float(), inked)
        logits: Tensor = self.strokes_head(torch.cat(moments, dim=1)).float()
        return logits.log_softmax(dim=1)


def _convolution(width: int, wider: int, *, size: int = 3, stride: int = 1) -> nn.Module:
    """Return a convolution whose output has the input's size divided by the stride."""
    convolution = nn.Conv2d(width, wider, size, stride, padding=size // 2)
    return nn.Sequential(convolution, nn.GroupNorm(8, wider), nn.SiLU())


def _moments(features: Tensor, inked: Tensor) -> list[Tensor]:
    """Return means and standard deviations over the drawn pixels, each BC, of BCHW and B1HW."""
    mask = functional.adaptive_max_pool2d(inked, list(features.shape[2:]))
    count = mask.sum(dim=(2, 3)).clamp(min=1)
    mean = (features * mask).sum(dim=(2, 3)) / count
    squares = (features - mean[:, :, None, None]).square() * mask
    return [mean, (squares.sum(dim=(2, 3)) / count + 1e-4).sqrt()]


def _inked(pixels: Tensor) -> Tensor:
    """Return 1 for each pixel of the drawing and 0 for the background, BHW, of BCHW."""
    return ((1 - pixels).amax(dim=1) > INK).float()


def with_steps(pixels: Tensor) -> Tensor:
    """Return images with the differences to their right and lower neighbours, B9HW.

    Differences are replaced by their signed square roots: shading is far fainter than outlines.

    Args:
        pixels: Between 0 and 1. # BCHW
    """
    across = functional.pad(pixels[..., 1:] - pixels[..., :-1], (0, 1))
    down = functional.pad(pixels[:, :, 1:] - pixels[:, :, :-1], (0, 0, 0, 1))
    steps = torch.cat([across, down], dim=1)
    roots = (steps.abs() + 1e-4).sqrt() - 1e-2
    return torch.cat([2 * pixels - 1, 2 * steps.sign() * roots], dim=1)


def palette_and_shades(pixels: Tensor) -> Tensor:
    """Return both histograms, square roots of shares, ``[batch, colours + 2 * steps]``.

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


AutoConfig.register(ArtistJudgeConfig.model_type, ArtistJudgeConfig)
AutoModelForImageClassification.register(ArtistJudgeConfig, ArtistJudge)
