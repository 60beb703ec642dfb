"""Prompts by seeds of one model, labelled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from styledag.sampling import sampler as sampling
from styledag.sampling.contact_sheet import contact_sheet
from styledag.sampling.index import SAMPLES, prompt_folders, write_shown
from styledag.sampling.lettering import letterable, prompt_labels
from styledag.sampling.marking import mark_png, marked_png
from styledag.sampling.sampler import Sample, Sampler
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

CODE_VERSION = f"2.{sampling.CODE_VERSION}"
GRID = "grid.png"


def draw_sample_grid(sampler: Sampler, workspace: Workspace, *, title: str) -> Facts:
    """Draw every prompt with every seed and return the figures of the grid.

    Writes ``grid.png``; each image as ``samples/<prompt>/<seed>.png`` with its provenance; and
    ``samples.json``, which :func:`~styledag.sampling.index.read_samples` reads. All PNGs are marked
    as made by a model.

    Raises:
        DeviceError: If the device's memory does not suffice for a batch.
        ModelError: If a model cannot be loaded, or gives NaN.
        StyleFileError: If a prompt is longer than the base reads.
    """
    settings = sampler.settings
    with workspace.progress.task("samples", len(sampler.pairs)) as advance:
        samples = sampler.draw(sampler.pairs, workspace, advance)
    columns = len(settings.seeds)
    sheet = contact_sheet(
        (
            [sample.image for sample in samples[start : start + columns]]
            for start in range(0, len(samples), columns)
        ),
        title=letterable(title) or "Samples",
        row_labels=prompt_labels(settings.prompts),
        column_labels=[f"seed {seed}" for seed in settings.seeds],
    )
    (workspace.folder / GRID).write_bytes(marked_png(sheet))
    write_samples(
        samples,
        workspace.folder,
        title=title,
        base_version=sampler.base_version,
        model_version=sampler.weights.version,
        scheduler=settings.scheduler,
        steps=settings.num_inference_steps,
        guidance_scale=settings.guidance_scale,
        **({"vae_version": sampler.vae.version} if sampler.vae else {}),
        **(sampler.ip_adapter.provenance if sampler.ip_adapter else {}),
    )
    return {
        "samples": len(samples),
        "prompts": len(settings.prompts),
        "seeds": len(settings.seeds),
        "size_px": list(samples[0].image.size),
    }


def write_samples(samples: Sequence[Sample], folder: Path, **about: Any) -> None:
    """Write images as ``samples/<prompt>/<seed>.png``, and ``samples.json`` beside them.

    Args:
        samples: The images.
        folder: Where they go.
        **about: JSON values that hold for all of them.
    """
    folders = prompt_folders(tuple(dict.fromkeys(sample.prompt for sample in samples)))
    files = (
        (
            {"prompt": sample.prompt, "seed": sample.seed},
            f"samples/{folders[sample.prompt]}/{sample.seed}.png",
            mark_png(sample.png),
        )
        for sample in samples
    )
    write_shown(folder, SAMPLES, files, **about)
