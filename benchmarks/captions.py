"""Speed of batched captioning beside a loop over images: ``python -m benchmarks.captions``.

Both ask the same model for the same images and search greedily, by turns; the captions must be
equal before any speed is printed. Goals: 1.5 times the loop on two cores of a CPU, 4 times on a
GPU. The last line is ``ratio: N``.

    python -m benchmarks.captions --model data/starter/blip --images 64 --batch-size 16
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.speed.fake import write_images
from styledag.captions.blip import BlipCaptioner
from styledag.captions.settings import CaptionSettings
from styledag.models.compute import Compute, ComputeSettings, resolve_compute
from styledag.models.reference import ModelReference


def main() -> None:
    """Measure by the command line's options."""
    import tempfile

    import torch

    options = _options()
    torch.set_num_threads(options.threads)
    compute = resolve_compute(ComputeSettings(device=options.device))
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), options.images, options.size)
        figures = measure(
            options.model, _read(Path(folder)), compute, options.batch_size, options.rounds
        )
    print(f"{options.images} images on {compute.device}, {options.threads} threads")
    for name, images_per_s in figures.items():
        print(f"{name}: {images_per_s:.1f} images/s")
    print(f"ratio: {figures['batched'] / figures['loop']:.2f}")


def measure(
    model: Path, images: "Sequence[Any]", compute: Compute, batch_size: int, rounds: int
) -> dict[str, float]:
    """Return images a second, batched and in a loop, medians over rounds by turns.

    Args:
        model: Folder of a BLIP.
        images: RGB images of Pillow.
        compute: Device and dtype of both.
        batch_size: Images at a time, batched.
        rounds: Times that each is measured, after one that is not.

    Raises:
        SystemExit: If the captions differ.
    """
    settings = CaptionSettings(
        captioner=ModelReference(model=str(model)),
        batch_size=batch_size,
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
    )
    captioner = BlipCaptioner(model, "", compute)
    contenders: dict[str, Callable[[], list[str]]] = {
        "batched": partial(_batched, captioner, images, settings),
        "loop": partial(_loop, captioner.loaded, images, settings, compute),
    }
    said = {name: ask() for name, ask in contenders.items()}
    different = sum(one != other for one, other in zip(*said.values(), strict=True))
    if different:
        raise SystemExit(f"{different} of {len(images)} captions differ: no speed is comparable")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, ask in contenders.items():
            began = time.perf_counter()
            ask()
            seconds[name].append(time.perf_counter() - began)
    return {name: len(images) / median(each) for name, each in seconds.items()}


def _batched(
    captioner: BlipCaptioner, images: "Sequence[Any]", settings: CaptionSettings
) -> list[str]:
    size = settings.batch_size
    batches = (images[at : at + size] for at in range(0, len(images), size))
    return [caption for batch in batches for caption in captioner(batch, settings)]


def _loop(
    loaded: tuple[Any, Any], images: "Sequence[Any]", settings: CaptionSettings, compute: Compute
) -> list[str]:
    """Ask as the model's documentation shows it."""
    import torch

    model, processor = loaded
    captions = []
    for image in images:
        inputs = processor(images=image, return_tensors="pt").to(compute.device, compute.dtype)
        with torch.inference_mode():
            tokens = model.generate(
                **inputs, do_sample=False, max_new_tokens=settings.max_new_tokens
            )
        captions.append(str(processor.decode(tokens[0], skip_special_tokens=True)))
    return captions


def _read(folder: Path) -> list[Any]:
    from PIL import Image

    return [Image.open(path).convert("RGB") for path in sorted(folder.rglob("*.jpg"))]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=Path("data/starter/blip"))
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--size", type=int, default=64, help="Side of an image in pixels.")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
