"""How images change over training: one GIF for each prompt and seed, the base first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from styledag.sampling import sampler as sampling
from styledag.sampling.gif import labelled_frame, marked_gif, there_and_back
from styledag.sampling.index import FRAMES, GIFS, Pair, prompt_folders, write_shown
from styledag.sampling.marking import mark_png
from styledag.sampling.sampler import Sample, Sampler, TunedVae
from styledag.sampling.weights import Weights
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

CODE_VERSION = f"3.{sampling.CODE_VERSION}"
FRAME_MS = 400


def draw_evolution(
    base: Sampler,
    snapshots: Mapping[int, Weights],
    workspace: Workspace,
    *,
    vae: TunedVae | None = None,
) -> Facts:
    """Draw every prompt and seed with the base and each snapshot, and return the figures.

    Writes ``frames/<prompt>/<seed>/epoch-<nnn>.png`` with ``frames.json``, and
    ``gifs/<prompt>/<seed>.gif`` and ``gifs/<prompt>/all.gif``, the seeds side by side, with
    ``gifs.json``. Each GIF rests on the last snapshot and returns the way it came.

    Args:
        base: Sampler of the base, and what to ask for.
        snapshots: Weights of each snapshot by its epoch, from 1; 0 is the base.
        workspace: Where it all goes.
        vae: The autoencoder that the snapshots' images are decoded with; the base's own when
            left out. The base's images are always decoded with the base's own.

    Raises:
        DeviceError: If the device's memory does not suffice for a batch.
        ModelError: If a model cannot be loaded, or gives NaN.
        StyleFileError: If a prompt is longer than the base reads.
    """
    epochs = sorted(snapshots)
    samples: dict[int, tuple[Sample, ...]] = {}
    total = len(base.pairs) * (len(epochs) + 1)
    with workspace.progress.task("evolution", total) as advance:
        samples[0] = base.draw(base.pairs, workspace, advance, planned=len(epochs) + 1)
        for epoch in epochs:
            # A sampler of its own, let go at once: one UNet in memory beside the base's.
            tuned = base.with_weights(snapshots[epoch], vae=vae)
            left = len(epochs) + 1 - len(samples)
            samples[epoch] = tuned.draw(base.pairs, workspace, advance, planned=left)
    folders = prompt_folders(base.settings.prompts)
    frames = (
        (
            {"epoch": epoch, "prompt": sample.prompt, "seed": sample.seed},
            f"frames/{folders[sample.prompt]}/{sample.seed}/epoch-{epoch:03d}.png",
            mark_png(sample.png),
        )
        for epoch, images in samples.items()
        for sample in images
    )
    gifs = _gifs(samples, folders, base.settings.seeds)
    return {
        "epochs": epochs,
        "frames": write_shown(workspace.folder, FRAMES, frames),
        "gifs": write_shown(workspace.folder, GIFS, gifs),
    }


def _gifs(
    samples: Mapping[int, Sequence[Sample]], folders: Mapping[str, str], seeds: Sequence[int]
) -> Iterator[tuple[dict[str, Any], str, bytes]]:
    by_epoch: dict[int, dict[Pair, Sample]] = {
        epoch: {(sample.prompt, sample.seed): sample for sample in images}
        for epoch, images in samples.items()
    }
    for prompt, folder in folders.items():
        shown = [(str(seed), seed, [seed]) for seed in seeds] + [("all", None, list(seeds))]
        for stem, seed, together in shown:
            frames = [
                labelled_frame([by_pair[prompt, one].image for one in together], _label(epoch))
                for epoch, by_pair in by_epoch.items()
            ]
            gif = marked_gif(*there_and_back(frames, frame_ms=FRAME_MS))
            yield {"prompt": prompt, "seed": seed}, f"gifs/{folder}/{stem}.gif", gif


def _label(epoch: int) -> str:
    return f"epoch {epoch}" if epoch else "base"
