"""What must be equal before a speed counts, in a fresh process; and the counts behind the speed."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.fake import read_images
from benchmarks.speed.measured import report_figures
from benchmarks.speed.ours import ENCODED, compute_of, recipe_of
from styledag.bases.find import find_base
from styledag.training.averaging.ema import Ema
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.encoders import ImageEncoder
from styledag.training.estimating.dry_pass import dry_pass
from styledag.training.estimating.estimate import PlannedTraining, estimate_training
from styledag.training.estimating.live_bytes import LiveBytes
from styledag.training.recipe import EmaSettings, Recipe


def averages(task: dict[str, Any]) -> dict[str, Any]:
    """Feed our average and diffusers' the same weights, and return how far apart they end."""
    from diffusers.training_utils import EMAModel

    compute = compute_of(task)
    denoiser = find_base(Path(task["base"])).denoiser(device=compute.device)
    parameters = dict(denoiser.named_parameters())
    ours = Ema(parameters, EmaSettings(mode="warmup"), total_steps=task["steps"])
    theirs = EMAModel(parameters.values(), foreach=True)
    generator = torch.Generator(compute.device).manual_seed(0)
    seconds = {"ours": 0.0, "theirs": 0.0}
    for _ in range(task["steps"]):
        with torch.no_grad():
            for parameter in parameters.values():
                step = torch.randn(parameter.shape, generator=generator, device=compute.device)
                parameter.add_(step, alpha=1e-3)
        seconds["ours"] += _timed(ours.update, compute.device)
        seconds["theirs"] += _timed(lambda: theirs.step(parameters.values()), compute.device)
    live = LiveBytes([*parameters.values(), *ours.averages.values()])
    with live:
        ours.update()
    theirs.step(parameters.values())
    pairs = zip(ours.averages.values(), theirs.shadow_params, strict=True)
    return {
        "largest_difference": max(float((a - b).abs().max()) for a, b in pairs),
        "temporary_bytes": live.allocated,
        "ours_ms": 1e3 * seconds["ours"] / task["steps"],
        "theirs_ms": 1e3 * seconds["theirs"] / task["steps"],
    }


def encoding(task: dict[str, Any]) -> dict[str, Any]:
    """Return how our batches of images differ from a loop over them one by one, and its speed."""
    from PIL import Image

    compute = compute_of(task)
    images = read_images(Path(task["images"]))[: task["count"]]
    base = find_base(Path(task["base"]))
    encoder = ImageEncoder(base, compute=compute, batch_size=task["batch_size"], flip=True)
    named = [(str(at), content) for at, (content, _) in enumerate(images)]
    rows = list(encoder.encode(named))
    vae = base.autoencoder(device=compute.device, dtype=compute.dtype).model
    import io

    import numpy as np

    worst, scale = 0.0, 0.0
    began, began_cpu = time.perf_counter(), time.process_time()
    for row, (content, _) in zip(rows, images, strict=True):
        pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(content)).convert("RGB")))
        values = (pixels.permute(2, 0, 1).float() / 127.5 - 1)[None].to(compute.device)
        for at, each in enumerate((values, values.flip(-1))):
            with torch.inference_mode():
                mean = vae.encode(each.to(compute.dtype)).latent_dist.mean[0].float().cpu()
            worst = max(worst, float((row["mean"][at].float() - mean).abs().max()))
            scale = max(scale, float(mean.abs().max()))
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    return {
        "largest_difference": worst / scale,
        "loop_images_per_s": 2 * len(images) / seconds,
        "loop_images_per_cpu_s": 2 * len(images) / cpu_s,
    }


def operations(task: dict[str, Any]) -> dict[str, Any]:
    """Count one real microstep's FLOPs with torch's own counter, beside the prediction."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    base, compute, recipe = Path(task["base"]), compute_of(task), recipe_of(task)
    encoded = EncodedDataset.open(Path(task["work"]) / ENCODED)
    planned = PlannedTraining.of(encoded, base, recipe, compute=compute)
    predicted = dry_pass(
        base,
        Recipe(),
        planned.largest,
        device=compute.device.type,
        dtype=compute.dtype,
        batch_size=1,
    )
    found = find_base(base)
    unet = found.denoiser(device=compute.device)
    conditioning = encoded.conditioning.select([0]).to(compute.device, torch.float32)
    latents = torch.zeros(1, *planned.largest, device=compute.device)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        prediction = found.predict(
            unet, latents, torch.zeros(1, device=compute.device), conditioning
        )
        torch.autograd.backward(prediction.square().mean())
    estimate = estimate_training(planned)
    return {
        "counted": counter.get_total_flops(),
        "predicted": predicted.flops,
        "forward": predicted.flops_forward,
        "encode": estimate.flops_encode,
        "predicted_memory": estimate.needed_bytes,
        "parameters": estimate.parameters,
    }


def snapshots(task: dict[str, Any]) -> dict[str, Any]:
    """Return the root mean square of the differences between two snapshots' weights.

    Not the largest: Adam moves a weight that has hardly a gradient by as much as any other, to
    whichever side rounding sends it.
    """
    first, second = (_weights(Path(task[name])) for name in ("first", "second"))
    squares = sum(
        float((first[name].float() - second[name].float()).square().sum()) for name in first
    )
    return {"rms_difference": (squares / sum(each.numel() for each in first.values())) ** 0.5}


def _weights(folder: Path) -> dict[str, Tensor]:
    import safetensors.torch

    tensors: dict[str, Tensor] = safetensors.torch.load_file(
        folder / "diffusion_pytorch_model.safetensors"
    )
    return tensors


def _timed(function: Any, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    kinds = {
        "averages": averages,
        "encoding": encoding,
        "operations": operations,
        "snapshots": snapshots,
    }
    report_figures(kinds[given["kind"]](given))
