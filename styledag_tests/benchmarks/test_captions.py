from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.captions import measure
from styledag.captions.blip import BlipCaptioner
from styledag.models.compute import Compute

CPU = Compute(torch.device("cpu"), torch.float32)
IMAGES = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")]


def test_both_ways_are_measured_once_their_captions_agree(starter: Path) -> None:
    figures = measure(starter / "blip", IMAGES, CPU, 2, 1)
    assert figures.keys() == {"batched", "loop"}
    assert min(figures.values()) > 0


def test_captions_that_differ_are_no_race(starter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BlipCaptioner, "__call__", lambda _, images, __: ["a lie"] * len(images))
    with pytest.raises(SystemExit, match="3 of 3 captions differ"):
        measure(starter / "blip", IMAGES, CPU, 2, 1)
