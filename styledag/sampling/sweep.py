"""One prompt a row over the weights between base and fine-tune, drawn without stored blends."""

from collections.abc import Mapping

from styledag.sampling import sampler as sampling
from styledag.sampling.contact_sheet import contact_sheet
from styledag.sampling.index import SWEPT, prompt_folders, write_shown
from styledag.sampling.lettering import prompt_labels
from styledag.sampling.marking import mark_png, marked_png
from styledag.sampling.sampler import Sample, Sampler, TunedVae
from styledag.sampling.weights import Weights
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

CODE_VERSION = f"1.{sampling.CODE_VERSION}"
STRIP = "sweep.png"


def draw_sweep(
    base: Sampler,
    blends: Mapping[float, Weights],
    workspace: Workspace,
    *,
    title: str,
    vae: TunedVae | None = None,
) -> Facts:
    """Draw every prompt and seed at each weight, and return the figures.

    Writes ``sweep.png``, the first seed of every prompt over the weights; each image as
    ``samples/<prompt>/<seed>/weight-<0.00>.png`` with its provenance; and ``swept.json``, which
    :func:`~styledag.sampling.index.read_swept` reads. All PNGs are marked as made by a model.

    Args:
        base: Sampler of the base, and what to ask for.
        blends: The blend of each weight.
        workspace: Where it all goes.
        title: Headline of the strip.
        vae: The autoencoder that decodes; the base's own when left out.

    Raises:
        DeviceError: If the device's memory does not suffice for a batch.
        ModelError: If a model cannot be loaded or blended, or gives NaN.
        StyleFileError: If a prompt is longer than the base reads.
    """
    samples: dict[float, tuple[Sample, ...]] = {}
    total = len(base.pairs) * len(blends)
    with workspace.progress.task("sweep", total) as advance:
        for weight, weights in blends.items():
            sampler, left = base.with_weights(weights, vae=vae), len(blends) - len(samples)
            samples[weight] = sampler.draw(base.pairs, workspace, advance, planned=left)
    folders = prompt_folders(base.settings.prompts)
    files = (
        (
            {"weight": weight, "prompt": sample.prompt, "seed": sample.seed},
            f"samples/{folders[sample.prompt]}/{sample.seed}/weight-{weight:.2f}.png",
            mark_png(sample.png),
        )
        for weight, drawn in samples.items()
        for sample in drawn
    )
    write_shown(workspace.folder, SWEPT, files)
    first = base.settings.seeds[0]
    shown = {
        (weight, sample.prompt): sample
        for weight, drawn in samples.items()
        for sample in drawn
        if sample.seed == first
    }
    strip = contact_sheet(
        ([shown[weight, prompt].image for weight in blends] for prompt in base.settings.prompts),
        title=title,
        row_labels=prompt_labels(base.settings.prompts),
        column_labels=[f"weight {weight:.2f}" for weight in blends],
    )
    (workspace.folder / STRIP).write_bytes(marked_png(strip))
    return {
        "weights": list(blends),
        "weights_versions": [weights.version for weights in blends.values()],
        "samples": total,
    }
