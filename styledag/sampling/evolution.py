"""How images change over training: one GIF for each prompt and seed, the base first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from styledag.sampling import sampler as sampling
from styledag.sampling.gif import labelled_frame, marked_gif, there_and_back
from styledag.sampling.index import (
    FRAMES,
    GIFS,
    FrameFile,
    GifFile,
    prompt_folders,
    write_index,
)
from styledag.sampling.marking import mark_png
from styledag.sampling.sampler import Pair, Sample, Sampler, TunedVae
from styledag.sampling.weights import Weights
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

CODE_VERSION = f"3.{sampling.CODE_VERSION}"
FRAME_MS = 400


@dataclass(frozen=True)
class SnapshotUnet:
    """One snapshot's weights.

    Attributes:
        epoch: Passes over the training split; at least 1, since 0 is the base.
        weights: Its weights.
    """

    epoch: int
    weights: Weights


def draw_evolution(
    base: Sampler,
    snapshots: Sequence[SnapshotUnet],
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
        snapshots: Snapshots in any order.
        workspace: Where it all goes.
        vae: The autoencoder that the snapshots' images are decoded with; the base's own when
            left out. The base's images are always decoded with the base's own.

    Raises:
        DeviceError: If the device's memory does not suffice for a batch.
        ModelError: If a model cannot be loaded, or gives NaN.
        StyleFileError: If a prompt is longer than the base reads.
    """
    in_order = sorted(snapshots, key=lambda snapshot: snapshot.epoch)
    samples: dict[int, tuple[Sample, ...]] = {}
    total = len(base.pairs) * (len(in_order) + 1)
    with workspace.progress.task("evolution", total) as advance:
        samples[0] = base.draw(base.pairs, workspace, advance)
        for snapshot in in_order:
            # A sampler of its own, let go at once: one UNet in memory beside the base's.
            tuned = base.with_weights(snapshot.weights, vae=vae)
            samples[snapshot.epoch] = tuned.draw(base.pairs, workspace, advance)
    folders = prompt_folders(base.settings.prompts)
    _write_frames(workspace.folder, samples, folders)
    _write_gifs(workspace.folder, samples, folders, base.settings.seeds)
    return {
        "epochs": [snapshot.epoch for snapshot in in_order],
        "frames": total,
        "gifs": len(folders) * (len(base.settings.seeds) + 1),
    }


def _write_frames(
    folder: Path, samples: Mapping[int, Sequence[Sample]], folders: Mapping[str, str]
) -> None:
    entries = []
    for epoch, images in samples.items():
        for sample in images:
            name = f"frames/{folders[sample.prompt]}/{sample.seed}/epoch-{epoch:03d}.png"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mark_png(sample.png))
            entries.append(
                FrameFile(epoch=epoch, prompt=sample.prompt, seed=sample.seed, file=name)
            )
    write_index(folder / FRAMES, entries)


def _write_gifs(
    folder: Path,
    samples: Mapping[int, Sequence[Sample]],
    folders: Mapping[str, str],
    seeds: Sequence[int],
) -> None:
    by_epoch: dict[int, dict[Pair, Sample]] = {
        epoch: {(sample.prompt, sample.seed): sample for sample in images}
        for epoch, images in samples.items()
    }
    entries = []
    for prompt, prompt_folder in folders.items():
        (folder / "gifs" / prompt_folder).mkdir(parents=True, exist_ok=True)
        shown = [(str(seed), seed, [seed]) for seed in seeds] + [("all", None, list(seeds))]
        for stem, seed, together in shown:
            frames = [
                labelled_frame([by_pair[prompt, one].image for one in together], _label(epoch))
                for epoch, by_pair in by_epoch.items()
            ]
            name = f"gifs/{prompt_folder}/{stem}.gif"
            gif = marked_gif(*there_and_back(frames, frame_ms=FRAME_MS))
            (folder / name).write_bytes(gif)
            entries.append(GifFile(prompt=prompt, seed=seed, file=name))
    write_index(folder / GIFS, entries)


def _label(epoch: int) -> str:
    return f"epoch {epoch}" if epoch else "base"
