"""Ours in a fresh process: encoding, training, and the counts that tests of speed rest on."""

import hashlib
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.fake import read_images
from benchmarks.speed.measured import Stamps, peak_memory, report_figures
from styledag.models.compute import Compute, ComputeSettings, resolve_compute
from styledag.progress import Advance
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.encode import encode_dataset
from styledag.training.encoding.samples import EncodeSample
from styledag.training.recipe import EmaSettings, LoraSettings, Recipe
from styledag.training.train import train_unet

ENCODED = "encoded"


class StepProgress:
    """Calls a function after every optimiser step."""

    def __init__(self, on_step: Callable[[], None]) -> None:
        self._on_step = on_step

    def task(
        self, description: str, total: int | None, *, done: int = 0
    ) -> AbstractContextManager[Advance]:
        """Open a task; only training has steps."""
        del total, done

        @contextmanager
        def opened() -> Iterator[Advance]:
            def advance(done: int = 1, /, **figures: float) -> None:
                del done, figures
                if description == "training":
                    self._on_step()

            yield advance

        return opened()


def compute_of(task: dict[str, Any]) -> Compute:
    """Return what a task computes with, which compiles and reorders only what it names."""
    plain = {"compile": "off", "channels_last": False}
    return resolve_compute(ComputeSettings(**plain | task["compute"]))


def recipe_of(task: dict[str, Any]) -> Recipe:
    """Return the recipe that a task names."""
    settings = dict(task["recipe"])
    if "ema" in settings:
        settings["ema"] = EmaSettings(**settings["ema"])
    if settings.get("lora"):
        settings["lora"] = LoraSettings(**settings["lora"])
    return Recipe(**settings)


def encode(task: dict[str, Any]) -> dict[str, Any]:
    """Encode the images in a fresh store, and return images a second, all of it counted."""
    work = Path(task["work"])
    shutil.rmtree(work, ignore_errors=True)
    folder, scratch = work / ENCODED, work / "scratch"
    folder.mkdir(parents=True)
    scratch.mkdir()
    store = Store(str(work / "store"), cache=work / "cache")
    workspace = Workspace(folder, scratch, store.blobs, store.items)
    samples = []
    for number, (content, caption) in enumerate(read_images(Path(task["images"]))):
        sha256 = store.blobs.put(content)
        samples.append(
            EncodeSample(
                id=hashlib.sha256(sha256.encode()).hexdigest(),
                caption=caption,
                split="train",
                name=f"image {number}",
                image_sha256=sha256,
            )
        )
    began, began_cpu = time.perf_counter(), time.process_time()
    encode_dataset(
        samples,
        Path(task["base"]),
        base_version="fake",
        compute=compute_of(task),
        workspace=workspace,
        batch_size=task["batch_size"],
        flip=True,
    )
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    passes = 2 * len(samples)
    return {"images_per_s": passes / seconds, "images_per_cpu_s": passes / cpu_s} | peak_memory()


def train(task: dict[str, Any]) -> dict[str, Any]:
    """Train on encoded images; ``encode_every_step`` does besides what a peer does each time."""
    stamps = Stamps()
    compute, recipe = compute_of(task), recipe_of(task)
    again = _encoding_again(task, compute) if task.get("encode_every_step") else None

    def on_step() -> None:
        if again is not None:
            again()
        stamps.stamp()

    work, run = Path(task["work"]), Path(task["run"])
    shutil.rmtree(run, ignore_errors=True)
    began = time.perf_counter()
    with _counted_encoding() as vae_calls:
        result = train_unet(
            EncodedDataset.open(work / ENCODED),
            Path(task["base"]),
            recipe,
            inputs={},
            compute=compute,
            scratch=run / "scratch",
            on_snapshot=lambda snapshot: _take(snapshot.folder, run / f"e{snapshot.epoch:03d}"),
            progress=StepProgress(on_step),
            work=Counter(),
        )
    seconds = time.perf_counter() - began
    images_per_step = recipe.batch_size * recipe.gradient_accumulation
    return (
        stamps.figures(images_per_step, task["warm_up_steps"])
        | peak_memory()
        | {
            "seconds": seconds,
            "vae_calls": 0 if again is not None else vae_calls["encode"],
            "losses": [step.loss for step in result.log],
        }
    )


@contextmanager
def _counted_encoding() -> Iterator[Counter[str]]:
    """Count how often any autoencoder encodes."""
    from diffusers import AutoencoderKL

    calls: Counter[str] = Counter()
    encode_images = AutoencoderKL.encode

    def counted(self: Any, pixels: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        # What training predicts of itself has shapes only.
        calls["encode"] += pixels.device.type != "meta"
        return encode_images(self, pixels, *args, **kwargs)

    AutoencoderKL.encode = counted
    try:
        yield calls
    finally:
        AutoencoderKL.encode = encode_images


def _take(folder: Path, kept: Path) -> None:
    """Move a snapshot away, as the store does."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(kept)


def _encoding_again(task: dict[str, Any], compute: Compute) -> Callable[[], None]:
    """Return what a trainer without an encoded dataset does besides in every step."""
    from styledag.bases.find import find_base

    base, recipe = Path(task["base"]), recipe_of(task)
    found = find_base(base)
    autoencoder = found.autoencoder(device=compute.device, dtype=compute.dtype)
    text_encoder = found.text_encoder(device=compute.device, dtype=compute.dtype)
    count = recipe.batch_size * recipe.gradient_accumulation
    width_px, height_px = found.size_px
    pixels = torch.zeros(count, 3, height_px, width_px, device=compute.device, dtype=compute.dtype)

    @torch.no_grad()
    def again() -> None:
        autoencoder.encode(pixels)
        text_encoder.encode([""] * count)
        if compute.device.type == "cuda":
            torch.cuda.synchronize()

    return again


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if threads := given.get("threads"):
        torch.set_num_threads(threads)
    report_figures({"encode": encode, "train": train}[given["kind"]](given))
