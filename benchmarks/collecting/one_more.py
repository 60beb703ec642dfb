"""Time and memory of the data stages for one new image among many, through the command line."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil
from PIL import Image

_STYLE = """\
description: Many small images.
base: {{model: {starter}/stable-diffusion}}
sources: [{{type: folder, path: images, licence: CC0, author: nobody}}]
images: {{size_px: 64, mode: pad}}
curation: {{embedding: pixels, mirrored_copies: true}}
captions: {{sources: [caption], template: "a drawing of a {{caption}}"}}
recipes: {{full: {{epochs: 1}}}}
samples: {{prompts: [a drawing of a house], seeds: [0]}}
scores: {{scorer: {{model: {starter}/clip}}, outside_prompts: [a drawing of a car]}}
"""
_STARTER = Path(__file__).parents[2] / "data" / "starter"
_SAMPLE_S = 0.05


def make_project(folder: Path) -> None:
    """Write a project of one style, whose images are those in ``images``."""
    styles = folder / "data" / "styles"
    styles.mkdir(parents=True, exist_ok=True)
    text = _STYLE.format(starter=_STARTER)
    (styles / "many.yaml").write_text(text, encoding="utf-8")
    for name in ("workspace.yaml", "dagster.yaml"):
        (folder / name).write_bytes((_STARTER.parents[1] / name).read_bytes())


def make_images(folder: Path, numbers: range) -> None:
    """Write a JPEG of 72 px and its caption for each number, no two of them alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        blots = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(blots).resize((72, 72), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:06}.jpg")
        (folder / f"{number:06}.txt").write_text(f"pattern {number}", encoding="utf-8")


@dataclass(frozen=True)
class Cost:
    """What one run took.

    Attributes:
        wall_s: Seconds on the clock.
        processor_s: Seconds of processors, of the process and all that it started.
        peak_mb: Most resident memory of all of them together.
        said: What the command printed.
    """

    wall_s: float
    processor_s: float
    peak_mb: float
    said: str


def run(folder: Path, *, to: str = "image_dataset") -> Cost:
    """Run the style up to an asset, in a process of its own."""
    command = [sys.executable, "-m", "styledag", "run", "many", "--to", to, "--device", "cpu"]
    started_s = time.perf_counter()
    process = psutil.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    tree = _Tree(process)
    said, _ = process.communicate()
    wall_s = time.perf_counter() - started_s
    processor_s, peak_mb = tree.ended()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: {said}")
    return Cost(wall_s, processor_s, peak_mb, said)


class _Tree:
    """Looks at a process and all that it starts, until it has ended."""

    def __init__(self, process: psutil.Popen) -> None:
        self._process = process
        self._peak = 0
        self._used_s: dict[int, float] = {}
        self._end = Event()
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()

    def ended(self) -> tuple[float, float]:
        """Return the processors' seconds and the peak memory in MB."""
        self._end.set()
        self._thread.join()
        return sum(self._used_s.values()), self._peak / 1e6

    def _look(self) -> None:
        while not self._end.wait(_SAMPLE_S):
            try:
                processes = [self._process, *self._process.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            self._peak = max(self._peak, self._resident(processes))

    def _resident(self, processes: Sequence[psutil.Process]) -> int:
        total = 0
        for process in processes:
            try:
                with process.oneshot():
                    total += process.memory_info().rss
                    times = process.cpu_times()
                    self._used_s[process.pid] = times.user + times.system
            except psutil.NoSuchProcess:
                continue
        return total
