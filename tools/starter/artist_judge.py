"""The starter's judge of artists as a folder, and the share of images that it gives an artist."""

from pathlib import Path

import torch
from torch import Tensor

from styledag.demo.judge import ARTIST_NAMES, ArtistJudge
from tools.starter.clip import SIZE_PX
from tools.starter.pixels import parts_of
from tools.starter.weights import save_half

TWEMOJI = ARTIST_NAMES.index("twemoji")


def save_artist_judge(judge: ArtistJudge, folder: Path) -> None:
    """Write a judge with its image processor, as transformers reads them; it becomes float16."""
    from transformers import ViTImageProcessorPil

    save_half(judge, folder)
    size = {"height": SIZE_PX, "width": SIZE_PX}
    ViTImageProcessorPil(size=size, do_normalize=False).save_pretrained(folder)


def load_artist_judge(folder: Path) -> ArtistJudge:
    """Return the judge that :func:`save_artist_judge` wrote, in float32."""
    judge: ArtistJudge = ArtistJudge.from_pretrained(folder).eval()
    return judge


def share_of_artist(judge: ArtistJudge, pixels: Tensor, artist: int) -> float:
    """Return the share of images that a judge classifies as one artist's.

    Args:
        judge: In evaluation mode.
        pixels: Between 0 and 1. # BCHW
        artist: Position in :data:`~styledag.demo.judge.ARTIST_NAMES`.
    """
    with torch.no_grad():
        named = torch.cat([judge(part).logits.argmax(dim=1) for part in parts_of(pixels)])
    return float((named == artist).float().mean())
