"""How an image emerges from noise: one GIF for each prompt and seed over denoising steps."""

from collections.abc import Sequence

from PIL import Image

from styledag.sampling import sampler as sampling
from styledag.sampling.gif import HOLD_MS, labelled_frame, marked_gif
from styledag.sampling.index import GIFS, Pair, prompt_folders, write_shown
from styledag.sampling.sampler import Sampler
from styledag.store.artifact import Facts
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

CODE_VERSION = f"2.{sampling.CODE_VERSION}"
NAMESPACE = "denoising"
DURATION_MS = 3_000
"""How long a GIF takes, less the rest on the finished image."""


def draw_denoising(sampler: Sampler, workspace: Workspace) -> Facts:
    """Draw every prompt and seed step by step, and return the figures.

    Writes ``gifs/<prompt>/<seed>.gif`` with ``gifs.json``: the decoded latents from pure noise to
    the finished image, every ``denoising_every_steps`` steps, with a rest on the last.

    Raises:
        DeviceError: If the device's memory does not suffice for a batch.
        ModelError: If a model cannot be loaded, or gives NaN.
        StyleFileError: If a prompt is longer than the base reads.
    """
    settings = sampler.settings
    folders = prompt_folders(settings.prompts)
    keys = {pair: _gif_key(sampler, pair) for pair in sampler.pairs}
    with workspace.progress.task("denoising", len(keys)) as advance:
        known = dict(workspace.items.get_many(NAMESPACE, list(keys.values())))
        missing = [pair for pair, key in keys.items() if key not in known]
        advance(len(keys) - len(missing))
        for batch, planned in sampler.batches(missing, of=len(keys)):
            for pair, content in zip(batch, _gifs(sampler, batch, planned), strict=True):
                known[keys[pair]] = content
                workspace.items.put(NAMESPACE, keys[pair], content)
            workspace.work["samples"] += len(batch)
            advance(len(batch))
    gifs = (
        ({"prompt": prompt, "seed": seed}, f"gifs/{folders[prompt]}/{seed}.gif", known[key])
        for (prompt, seed), key in keys.items()
    )
    count = write_shown(workspace.folder, GIFS, gifs)
    return {"gifs": count, "steps": settings.num_inference_steps}


def _gifs(sampler: Sampler, batch: Sequence[Pair], planned: int) -> list[bytes]:
    """Return one GIF for each prompt and seed of a batch, of which so many are planned."""
    settings = sampler.settings
    every, last = settings.denoising_every_steps, settings.num_inference_steps
    frames: list[list[Image.Image]] = [[] for _ in batch]
    for number, images in enumerate(sampler.frames(batch, every_steps=every, planned=planned)):
        label = f"step {min(number * every, last)} of {last}"
        for own, image in zip(frames, images, strict=True):
            own.append(labelled_frame([image], label))
    frame_ms = max(40, DURATION_MS // len(frames[0]) // 10 * 10)
    durations_ms = [frame_ms] * (len(frames[0]) - 1) + [HOLD_MS]
    return [marked_gif(own, durations_ms) for own in frames]


def _gif_key(sampler: Sampler, pair: Pair) -> str:
    return item_key(
        code=CODE_VERSION,
        image=sampler.image_key(pair),
        every_steps=sampler.settings.denoising_every_steps,
    )
