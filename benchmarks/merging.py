"""Speed and memory of a blend, beside a copy and mergekit: ``python -m benchmarks.merging``.

Two UNets with random weights of Stable Diffusion 1.5's size, in float16, are blended halfway: as
``merged_unet`` does, by loading both, interpolating and saving, and by the linear method of
``mergekit-pytorch`` where ``--mergekit`` names it. By turns, until what was written is on the disk;
medians count. Each runs in a process of its own, whose start and imports count beside mergekit's
alone. Goals: 3.5 times mergekit's speed, or 90 % of the copy's, and at most 200 MB above the start.
The last lines are the figures.

    pip install mergekit    # in an environment of its own
    python -m benchmarks.merging --mergekit /path/to/mergekit-pytorch --work /mnt/disk
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import psutil

from benchmarks.memory import peak_resident
from benchmarks.speed.fake import QUICK, STABLE_DIFFUSION_15, Architecture
from styledag.tensors.layout import CONFIG_FILE, WEIGHTS_FILE

_MERGEKIT = {"merge_method": "linear", "dtype": "float16"}


def main() -> None:
    """Measure by the command line's options, or carry out one way as a process of its own."""
    options = _options()
    if options.way:
        _carry_out(options.way, options.work)
        return
    architecture = QUICK if options.quick else STABLE_DIFFUSION_15
    with tempfile.TemporaryDirectory(prefix="styledag-merging-", dir=options.work) as folder:
        figures = measure(Path(folder), architecture, options.rounds, options.mergekit)
    for name, value in figures.items():
        print(f"{name}: {value:.3g}")


@dataclass(frozen=True)
class Found:
    """What one way took.

    Attributes:
        seconds: Without the start of its process; 0 where that is not known.
        peak_mb: Most megabytes above those after its imports.
    """

    seconds: float = 0.0
    peak_mb: float = 0.0


def measure(
    work: Path, architecture: Architecture, rounds: int, mergekit: Path | None
) -> dict[str, float]:
    """Return the seconds of each way, the ratios to ours, and the memory of ours.

    Args:
        work: Empty folder on the disk that is measured.
        architecture: Of the UNets.
        rounds: Times that each way is measured, by turns.
        mergekit: The command ``mergekit-pytorch``; it is left out without.
    """
    size_mb = _write_parents(work, architecture)
    ways: dict[str, Callable[[], Found]] = {
        "copy": partial(_copy, work),
        "ours": partial(_in_process, "ours", work),
        "load, lerp, save": partial(_in_process, "naive", work),
    }
    if mergekit is not None:
        ways["mergekit"] = partial(_mergekit, mergekit, work)
    taken: dict[str, list[float]] = {name: [] for name in (*ways, "ours, whole process")}
    peaks = []
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            found = way()
            whole = time.perf_counter() - began
            taken[name].append(found.seconds or whole)
            if name == "ours":
                taken["ours, whole process"].append(whole)
                peaks.append(found.peak_mb)
            shutil.rmtree(work / "out")
    seconds = {name: median(each) for name, each in taken.items()}
    beside = {"mergekit": seconds["ours, whole process"]}
    return {
        "size, MB": size_mb,
        **{f"{name}, s": value for name, value in seconds.items()},
        **{
            f"ours is so many times as fast as {name}": seconds[name]
            / beside.get(name, seconds["ours"])
            for name in ways
            if name != "ours"
        },
        "peak above the start, MB": max(peaks),
    }


def _write_parents(work: Path, architecture: Architecture) -> float:
    """Write both UNets and mergekit's settings; return the megabytes of one."""
    import torch
    from diffusers import UNet2DConditionModel

    for number, name in enumerate(("base", "tuned")):
        torch.manual_seed(number)
        UNet2DConditionModel(
            sample_size=architecture.size_px // 8,
            block_out_channels=architecture.unet,
            cross_attention_dim=architecture.text_width,
        ).half().save_pretrained(work / name)
    models = [
        {"model": str(work / name / WEIGHTS_FILE), "parameters": {"weight": 0.5}}
        for name in ("base", "tuned")
    ]
    (work / "mergekit.yaml").write_text(json.dumps({**_MERGEKIT, "models": models}))
    return (work / "base" / WEIGHTS_FILE).stat().st_size / 1e6


def _copy(work: Path) -> Found:
    (work / "out").mkdir()
    shutil.copyfile(work / "base" / WEIGHTS_FILE, work / "out" / WEIGHTS_FILE)
    _flush(work / "out")
    return Found()


def _in_process(way: str, work: Path) -> Found:
    """Carry out a way in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.merging", "--way", way, "--work", str(work)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Found(**json.loads(shown.splitlines()[-1]))


def _mergekit(command: Path, work: Path) -> Found:
    subprocess.run(
        [command, str(work / "mergekit.yaml"), str(work / "out"), "--no-write-model-card"],
        check=True,
        capture_output=True,
    )
    _flush(work / "out")
    return Found()


def _carry_out(way: str, work: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from styledag.merging.blend import blend_unet

    _ = torch.zeros(1)
    before = psutil.Process().memory_info().rss / 1e6
    base, tuned, out = work / "base", work / "tuned", work / "out"
    began = time.perf_counter()
    if way == "ours":
        blend_unet(base, tuned, 0.5, out, parents={}, base_share=0.0)
    else:
        out.mkdir()
        ours, theirs = load_file(base / WEIGHTS_FILE), load_file(tuned / WEIGHTS_FILE)
        merged = {name: torch.lerp(ours[name], theirs[name], 0.5) for name in ours}
        save_file(merged, out / WEIGHTS_FILE)
        shutil.copyfile(base / CONFIG_FILE, out / CONFIG_FILE)
    _flush(out)
    seconds = time.perf_counter() - began
    print(json.dumps(asdict(Found(seconds, peak_resident() / 1e6 - before))))


def _flush(folder: Path) -> None:
    for path in folder.rglob("*.safetensors"):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="A fifth of the width.")
    parser.add_argument("--mergekit", type=Path, help="The command mergekit-pytorch.")
    parser.add_argument("--work", type=Path, help="Folder on the disk that is measured.")
    parser.add_argument("--way", choices=["ours", "naive"], help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
