"""The sampler that the stages draw with, and whose decoder it uses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.graph.stage import Declaration, Inputs, Reads, uses_base
from styledag.sampling.settings import SampleSettings
from styledag.store.artifact import Artifact, Facts
from styledag.store.workspace import Workspace
from styledag.tensors.values import weights_version

if TYPE_CHECKING:
    from styledag.models.reference import ResolvedModel
    from styledag.sampling.sampler import Sampler, TunedVae

MERGED_VAE = "merged_vae"
WHOLE_BASE = uses_base("base", lambda parts: parts.sampling)


def has_decoder(declared: Declaration) -> bool:
    """Return whether a model has a decoder of its own."""
    return declared.recipe.decoder is not None


READS_DECODER = Reads(MERGED_VAE, when=has_decoder)
"""Of a stage whose images are decoded by the model's own decoder, where its recipe has one."""


VAE_OF_BASE = uses_base("base_vae", lambda parts: (parts.autoencoder,), has_decoder)
DECODER_FILE = "decoder.json"
UNTRAINED: Facts = {"trained": False}
"""What a recipe without a decoder leaves: no file, as the base's own is drawn with."""


def decoder_base_share(tuned: Artifact) -> float:
    """Return the share of the base's decoder that a tuned decoder's average still contains."""
    about: dict[str, Any] = json.loads((tuned.folder / DECODER_FILE).read_text(encoding="utf-8"))
    return float(about["base_share"])


def tuned_vae(inputs: Inputs, workspace: Workspace) -> "TunedVae | None":
    """Return the autoencoder that a stage draws with; ``None`` if it is the base's."""
    from styledag.sampling.sampler import TunedVae

    merged = inputs.upstream.get(MERGED_VAE)
    if merged is None:
        return None
    version = weights_version(merged.folder, known_as=merged.version, items=workspace.items)
    return TunedVae(merged.folder, version)


def samples_of(declared: Declaration) -> SampleSettings:
    """Return how a style's samples are drawn: at its images' size, unless it names another."""
    samples, size_px = declared.style.samples, declared.style.images.size_px
    return replace(
        samples,
        width_px=samples.width_px or size_px,
        height_px=samples.height_px or size_px,
    )


def sampler_of(
    inputs: Inputs,
    workspace: Workspace,
    unet: Path,
    *,
    known_as: str | None,
    vae: "TunedVae | None" = None,
    base: "ResolvedModel | None" = None,
) -> "Sampler":
    """Return the sampler of a UNet in the style's base, or in another one.

    Args:
        inputs: A stage's inputs, with the base and the settings of samples.
        workspace: Remembers the version of the UNet's values.
        unet: Folder of the UNet.
        known_as: Version of what contains the folder; ``None`` if it has none yet.
        vae: The autoencoder to decode with; the base's own when left out.
        base: The other base.
    """
    from styledag.sampling.sampler import Sampler
    from styledag.sampling.weights import Weights

    base = base or inputs.models["base"]
    return Sampler(
        base.folder,
        inputs.settings.of(SampleSettings),
        inputs.compute(),
        base_version=base.version,
        weights=Weights.stored(
            weights_version(unet, known_as=known_as, items=workspace.items), unet
        ),
        vae=vae,
    )
