"""Time of the image stages for one new image among many, beside that of an unchanged run."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from styledag.collect.collect import collect_images
from styledag.collect.settings import FolderSource
from styledag.images.curate import curate_images
from styledag.images.embedding import PixelEmbedder
from styledag.images.normalise import normalise_images
from styledag.images.settings import CurationSettings, ImageSettings
from styledag.store.store import Store
from styledag.store.workspace import Workspace

SETTINGS = ImageSettings(size_px=64, mode="pad")


def make_images(folder: Path, numbers: range) -> None:
    """Write one PNG a number, no two of them alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        blots = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(blots).resize((72, 72), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:06}.png")


@dataclass(frozen=True)
class Cost:
    """What one stage took: seconds on the clock, of processors, and pieces of work done."""

    wall_s: float
    processor_s: float
    done: int


def run(work: Path) -> dict[str, Cost]:
    """Run the image stages on ``work / "images"``; return their costs by name."""
    store = Store(str(work / "store"))
    costs: dict[str, Cost] = {}

    def timed(name: str, stage: Callable[[Workspace], object]) -> object:
        folder = work / "run" / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "artifact").mkdir(parents=True)
        (folder / "scratch").mkdir()
        workspace = Workspace(folder / "artifact", folder / "scratch", store.blobs, store.items)
        started_s, used_s = time.perf_counter(), _processor_s()
        result = stage(workspace)
        wall_s, processor_s = time.perf_counter() - started_s, _processor_s() - used_s
        costs[name] = Cost(wall_s, processor_s, sum(workspace.work.values()))
        return result

    def collect(workspace: Workspace) -> object:
        return collect_images([FolderSource(type="folder", path="images")], workspace, project=work)

    raw = timed("raw_images", collect)
    jpegs = timed("jpeg_images", lambda workspace: normalise_images(raw, SETTINGS, workspace))  # type: ignore[arg-type]
    timed(
        "curated_images",
        lambda workspace: curate_images(
            jpegs,  # type: ignore[arg-type]
            CurationSettings(mirrored_copies=True),
            workspace,
            embed=PixelEmbedder(),
        ),
    )
    return costs


def _processor_s() -> float:
    """Return the seconds of processors that this process and its ended children have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
