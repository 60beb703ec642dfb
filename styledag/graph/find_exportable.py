"""A model of the store, with what belongs to it, for exporting and publishing."""

from pathlib import Path

from styledag.errors import LineageError
from styledag.graph.blending.base import MERGED_PARTS, blended_base, has_parts
from styledag.graph.catalogue import Catalogue
from styledag.graph.drawing import MERGED_VAE, WHOLE_BASE, has_decoder
from styledag.graph.exports.exportable import Exportable, blend_key, check_base
from styledag.graph.lineage import find_ancestor, trace
from styledag.graph.names import Partition
from styledag.publishing.hub.settings import ModelFormat
from styledag.store.artifact import Artifact


def find_exportable(catalogue: Catalogue, model: Artifact, form: ModelFormat) -> Exportable:
    """Return a model of the store with what belongs to it.

    Args:
        catalogue: The project.
        model: A checkpoint, an ``ema_unet`` or a blend.
        form: The format that it is exported in; adapters have no decoder.

    Raises:
        LineageError: If a build that it came from is no longer in the store, or the style file no
            longer names its base.
        ArtifactMissingError: If its decoder was never made.
    """
    partition = Partition.from_store(model.partition)
    style, vae = catalogue.style(partition.style), None
    if form != "lora" and has_decoder(catalogue.declaration(partition)):
        owner = partition.widened("model").stored_as
        vae = catalogue.store.require(MERGED_VAE, owner).folder
    is_drawn = model.asset != "checkpoint"
    drawn_as = partition.of(blend_key(model)) if is_drawn else partition
    return Exportable(
        model=model,
        traced=trace(catalogue.store, model),
        base=_base_of(catalogue, model),
        root=catalogue.project.root,
        vae=vae,
        grid=_made_of(catalogue, model, "sample_grid", drawn_as) if is_drawn else None,
        scores=_made_of(catalogue, model, "scores", partition.widened("model"))
        if is_drawn
        else None,
        description=style.description,
        prompts=style.samples.prompts,
    )


def _base_of(catalogue: Catalogue, model: Artifact) -> Path:
    style = catalogue.style(Partition.from_store(model.partition).style)
    uses = catalogue.stages[model.asset].uses[0]  # a stage names the base first
    check_base(model, catalogue.used_model(style, uses, style.base).version, style.base.model)
    base = catalogue.used_model(style, WHOLE_BASE, style.base)
    declaration = catalogue.declaration(Partition.from_store(model.partition))
    is_drawn_with_own = model.asset == "merged_unet" and has_parts(declaration)
    merged = catalogue.store.require(MERGED_PARTS, model.partition) if is_drawn_with_own else None
    return blended_base(base, merged).folder


def _made_of(
    catalogue: Catalogue, model: Artifact, asset: str, partition: Partition
) -> Artifact | None:
    """Return the current artifact of an asset that shows this version of a model, if one does."""
    found = catalogue.store.current(asset, partition.stored_as)
    if found is None:
        return None
    try:
        tuned = find_ancestor(catalogue.store, found, "ema_unet")
    except LineageError:
        return None
    return (
        found
        if tuned.version == find_ancestor(catalogue.store, model, "ema_unet").version
        else None
    )
