"""Sampling and captioning in a fresh process, ours beside the library that it is built on."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.fake import read_images
from benchmarks.speed.measured import peak_memory, report_figures
from benchmarks.speed.ours import compute_of
from styledag.models.compute import Compute

PROMPT = "a drawing of a house"


def sampling(task: dict[str, Any]) -> dict[str, Any]:
    """Return images a second of our sampler, and of diffusers' pipeline as a batch and one by one.

    The latents of our settings are compared with those of float32 first.
    """
    compute = compute_of(task)
    float32 = Compute(compute.device, torch.float32)
    apart = _difference(_latents(task, compute, count=2), _latents(task, float32, count=2))
    count = task["batch_size"]
    ours = _rate(count, compute, _our_batch(task, compute, count))
    pipeline = _pipeline(task, compute)

    def drawn(prompts: list[str]) -> None:
        side = {"width": task["size_px"], "height": task["size_px"]}
        pipeline(prompts, num_inference_steps=task["steps"], guidance_scale=7.5, **side)

    return {
        "latents_apart": apart,
        "images_per_s": ours,
        "pipeline_images_per_s": _rate(count, compute, lambda: drawn([PROMPT] * count)),
        "pipeline_one_by_one_images_per_s": _rate(1, compute, lambda: drawn([PROMPT])),
    } | peak_memory()


def compiled_sampling(task: dict[str, Any]) -> dict[str, Any]:
    """Return images a second of our sampler with compiled blocks and without.

    The first batch, in which they are compiled, is timed alone. Latents of both are compared with
    those of float32.
    """
    compute, count = compute_of(task), task["batch_size"]
    expected = _latents(task, Compute(compute.device, torch.float32), count=count)
    figures: dict[str, Any] = {}
    for name, compiled in (("uncompiled", False), ("compiled", True)):
        batch = _our_batch(task, replace(compute, compile=compiled), count)
        began = time.perf_counter()
        batch()
        figures |= {
            f"{name}_first_batch_s": time.perf_counter() - began,
            f"{name}_images_per_s": _rate(count, compute, batch),
            f"{name}_latents_apart": _difference(
                _latents(task, replace(compute, compile=compiled), count=count), expected
            ),
        }
    return figures | peak_memory()


def captioning(task: dict[str, Any]) -> dict[str, Any]:
    """Return captions a second of our captioner, and of ``generate`` called image by image.

    Raises:
        SystemExit: If the captions differ.
    """
    import io

    from PIL import Image

    from styledag.captions.blip import BlipCaptioner
    from styledag.captions.settings import CaptionSettings
    from styledag.models.reference import ModelReference

    compute, count = compute_of(task), task["batch_size"]
    images = [
        Image.open(io.BytesIO(content)).convert("RGB")
        for content, _ in read_images(Path(task["images"]))[:count]
    ]
    reference = ModelReference(model=task["captioner"])
    settings = CaptionSettings(captioner=reference, num_beams=1, max_new_tokens=20)
    captioner = BlipCaptioner(Path(task["captioner"]), "fake", compute)
    together = captioner(images, settings)
    alone = [captioner([image], settings)[0] for image in images[: task["compared"]]]
    if compute.dtype == torch.float32 and together[: len(alone)] != alone:
        raise SystemExit("captions of a batch differ from those of single images")
    return {
        "captions_per_s": _rate(count, compute, lambda: captioner(images, settings)),
        "one_by_one_captions_per_s": _rate(
            len(alone),
            compute,
            lambda: [captioner([image], settings) for image in images[: len(alone)]],
        ),
    } | peak_memory()


def _our_batch(task: dict[str, Any], compute: Compute, count: int) -> Callable[[], object]:
    denoiser = _denoiser(task, compute)
    pairs = [(PROMPT, seed) for seed in range(count)]

    def batch() -> object:
        *_, latents = denoiser.denoise(pairs)
        return denoiser.decode(latents, pairs)

    return batch


def _latents(task: dict[str, Any], compute: Compute, *, count: int) -> torch.Tensor:
    pairs = [(PROMPT, seed) for seed in range(count)]
    latents: torch.Tensor
    *_, latents = _denoiser(task, compute).denoise(pairs)
    return latents


def _denoiser(task: dict[str, Any], compute: Compute) -> Any:
    from styledag.sampling.sampler import Sampler
    from styledag.sampling.settings import SampleSettings

    settings = SampleSettings(
        prompts=(PROMPT,),
        num_inference_steps=task["steps"],
        guidance_scale=7.5,
        width_px=task["size_px"],
        height_px=task["size_px"],
    )
    return Sampler(Path(task["base"]), settings, compute, base_version="fake").denoiser


def _pipeline(task: dict[str, Any], compute: Compute) -> Any:
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(task["base"], dtype=compute.dtype)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(compute.device)


def _difference(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the root mean square of a difference as a share of the second's."""
    return float((first - second).square().mean().sqrt() / second.square().mean().sqrt())


def _rate(count: int, compute: Compute, work: Callable[[], object]) -> float:
    """Return items a second of the second of two runs."""
    for _ in range(2):
        began = time.perf_counter()
        work()
        if compute.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return count / seconds


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if threads := given.get("threads"):
        torch.set_num_threads(threads)
    kinds = {
        "sampling": sampling,
        "compiled_sampling": compiled_sampling,
        "captioning": captioning,
    }
    report_figures(kinds[given["kind"]](given))
