"""Runs the decoder's own stages, and hands its blend to whoever draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from styledag.graph.decoder_plans import MERGED_VAE
from styledag.graph.graph import Graph
from styledag.graph.lineage import Ancestor, trace
from styledag.graph.names import ModelName
from styledag.graph.plan import Plan
from styledag.graph.snapshots import link_tree
from styledag.store.artifact import Facts
from styledag.store.items import Items
from styledag.store.workspace import Workspace
from styledag.tensors.values import weights_version

if TYPE_CHECKING:
    from torch import Tensor

    from styledag.models.compute import Compute
    from styledag.sampling.sampler import TunedVae
    from styledag.training.encoding.dataset import EncodedSample

VAE = "vae"
UNTRAINED: Facts = {"trained": False}
"""What a recipe without a decoder leaves: no file, as the base's own is drawn with."""


def tune_decoder(
    graph: Graph, get_compute: "Callable[[], Compute]", plan: Plan, workspace: Workspace
) -> Facts:
    """Fine-tune the decoder on the dataset's images, if the recipe says so."""
    from styledag.training.decoder.train import train_decoder
    from styledag.training.encoding.dataset import EncodedDataset

    if not plan.upstream:
        return UNTRAINED
    result = train_decoder(
        EncodedDataset.open(plan.folder("encoded_dataset")),
        _images(plan, workspace),
        plan.models["base_vae"].folder,
        graph.recipe(ModelName.parse(plan.target.partition)),
        inputs={
            "base_vae": plan.models["base_vae"].version,
            "encoded_dataset": plan.upstream["encoded_dataset"].version,
            "image_dataset": plan.upstream["image_dataset"].version,
        },
        compute=get_compute(),
        scratch=workspace.scratch,
        progress=workspace.progress,
        work=workspace.work,
    )
    link_tree(result.folder, workspace.folder / VAE)
    return {
        "trained": True,
        "steps": len(result.log),
        "loss": result.log[-1].loss,
        "base_share": result.base_share,
        "error": result.error,
        "base_error": result.base_error,
        "seconds": result.seconds,
    }


def blend_decoder(plan: Plan, workspace: Workspace) -> Facts:
    """Blend the base's autoencoder with the tuned one, whose encoder is the same."""
    from styledag.merging.blend import blend_unet

    tuned = plan.upstream["vae_decoder"]
    if not tuned.facts["trained"]:
        return UNTRAINED
    base = plan.models["base_vae"]
    facts = blend_unet(
        base.folder / VAE,
        tuned.folder / VAE,
        plan.target.settings["weight"],
        workspace.folder,
        parents={"base": base.version, "tuned": tuned.version},
        base_share=tuned.facts["base_share"],
    )
    return {"trained": True, **facts}


def tuned_vae(plan: Plan, items: Items) -> "TunedVae | None":
    """Return the autoencoder that a plan draws with; ``None`` if it is the base's."""
    from styledag.sampling.sampler import TunedVae

    merged = plan.upstream.get(MERGED_VAE)
    if merged is None:
        return None
    version = weights_version(merged.folder, known_as=merged.version, items=items)
    return TunedVae(merged.folder, version)


def decoder_settings(plan: Plan) -> Mapping[str, Any]:
    """Return what a report says of the decoder's recipe; empty where there is none."""
    settings = plan.style.recipes[ModelName.parse(plan.target.partition).recipe].decoder
    return {} if settings is None else {"decoder": asdict(settings)}


def decoder_ancestors(graph: Graph, plan: Plan, others: Sequence[Ancestor]) -> list[Ancestor]:
    """Return what only the decoder that a plan draws with came from, besides the others."""
    merged = plan.upstream.get(MERGED_VAE)
    if merged is None:
        return []
    known = {each.input.identity for each in others}
    return [each for each in trace(graph.store, merged) if each.input.identity not in known]


def _images(plan: Plan, workspace: Workspace) -> "Callable[[EncodedSample], Tensor]":
    from styledag.dataset.read import read_dataset
    from styledag.training.encoding.encoders import pixel_values

    names = {row.id: row.origin.url for row in read_dataset(plan.folder("image_dataset"))}

    def pixels(sample: "EncodedSample") -> "Tensor":
        return pixel_values(names[sample.id], workspace.blobs.read(sample.id))

    return pixels
