"""Runs the stages of a model on what its plans name."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.graph.blends import Blend
from styledag.graph.checkpoint_unets import UNET, store_unet, whole_unet
from styledag.graph.decoder_stages import tuned_vae
from styledag.graph.graph import Graph
from styledag.graph.model_plans import plan_checkpoint
from styledag.graph.names import ModelName
from styledag.graph.plan import Plan
from styledag.graph.snapshots import (
    SNAPSHOTS_FILE,
    StoredSnapshot,
    link_tree,
    read_snapshots,
)
from styledag.graph.stored_averages import UNET_SECOND, merge_stored
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace
from styledag.tensors.values import weights_version

if TYPE_CHECKING:
    from styledag.models.compute import Compute
    from styledag.sampling.sampler import Sampler, TunedVae
    from styledag.training.encoding.encode import EncodeSample
    from styledag.training.recipe import Recipe
    from styledag.training.records import Snapshot, TrainingResult

GetCompute = Callable[[], "Compute"]
"""Finds the device when it is first needed, so that a cached build never imports torch."""

LORA = "lora"
THUMBNAILS = "thumbnails.png"
TRAINING_LOG = "training_log.json"
_THUMBNAIL_PROMPTS = 6
_SHOWN_OF_BLEND = ("weight", "length", "amount")


def encode(graph: Graph, get_compute: GetCompute, plan: Plan, workspace: Workspace) -> Facts:
    """Encode the dataset's images and captions with the base's own encoders.

    What the recipe says in place of captions, and the class's images of its prior, are encoded
    with them.
    """
    from styledag.dataset.read import read_dataset
    from styledag.training.encoding.encode import EncodeSample, encode_dataset

    recipe = graph.recipe(ModelName.parse(plan.target.partition))
    said = recipe.instance_prompt
    samples = [
        EncodeSample(
            id=row.id,
            caption=row.text if said is None else said,
            variants=row.variants if said is None else (),
            split=row.split,
            family=row.family,
            name=row.origin.url,
            image_sha256=row.id,
        )
        for row in read_dataset(plan.folder("image_dataset"))
    ]
    base = plan.models["base_encoders"]
    facts = encode_dataset(
        [*samples, *_prior(recipe, samples, get_compute, plan, workspace)],
        base.folder,
        base_version=base.version,
        compute=get_compute(),
        workspace=workspace,
        flip=recipe.horizontal_flip,
    )
    drawn = {} if recipe.prior is None else {"prior_images": recipe.prior.images}
    return {**facts, **drawn}


def _prior(
    recipe: "Recipe",
    samples: "Sequence[EncodeSample]",
    get_compute: GetCompute,
    plan: Plan,
    workspace: Workspace,
) -> "list[EncodeSample]":
    from styledag.sampling.prior_images import prior_samples
    from styledag.training.encoding.image_sizes import image_sizes

    if recipe.prior is None:
        return []
    trained = [each for each in samples if each.split == "train"]
    return prior_samples(
        recipe.prior,
        plan.models["base"].folder,
        image_sizes(trained, workspace).values(),
        base_version=plan.models["base"].version,
        compute=get_compute(),
        workspace=workspace,
    )


def fine_tune(
    graph: Graph,
    publish: Callable[["Snapshot"], None],
    get_compute: GetCompute,
    plan: Plan,
    workspace: Workspace,
) -> Facts:
    """Train, publish each snapshot while training runs, and keep the last as the model."""
    from styledag.training.encoding.dataset import EncodedDataset
    from styledag.training.run_record import LOG_FOLDER, environment
    from styledag.training.train import train_unet

    model = ModelName.parse(plan.target.partition)
    result = train_unet(
        EncodedDataset.open(plan.folder("encoded_dataset")),
        plan.models["base_unet"].folder,
        graph.recipe(model),
        inputs={
            "base_unet": plan.models["base_unet"].version,
            "encoded_dataset": plan.upstream["encoded_dataset"].version,
        },
        compute=get_compute(),
        scratch=workspace.scratch,
        on_snapshot=publish,
        progress=workspace.progress,
        work=workspace.work,
    )
    stored = [_stored(graph, model, snapshot) for snapshot in result.snapshots]
    link_tree(result.final.folder, workspace.folder / UNET)
    if result.final.lora is not None:
        link_tree(result.final.lora, workspace.folder / LORA)
    link_tree(workspace.scratch / LOG_FOLDER, workspace.folder / LOG_FOLDER)
    _write_json(workspace, SNAPSHOTS_FILE, [asdict(each) for each in stored])
    _write_json(workspace, TRAINING_LOG, [asdict(step) for step in result.log])
    return {**_training_facts(result), "environment": environment(get_compute())}


def store_checkpoint(
    snapshot: "Snapshot", get_compute: GetCompute, plan: Plan, workspace: Workspace
) -> Facts:
    """Store one snapshot with thumbnails: the first prompts, one seed each.

    They are decoded with the base's own decoder, whatever the recipe says of it: the model names
    its checkpoints' versions, and must not change, nor be trained again, with its decoder.
    """
    from styledag.sampling.contact_sheet import contact_sheet

    base = plan.models["base"].folder / UNET
    form = plan.target.settings["Recipe"]["snapshot_format"]
    stored = store_unet(snapshot.folder, workspace.folder / UNET, base=base, form=form)
    if snapshot.second is not None:
        stored += store_unet(snapshot.second, workspace.folder / UNET_SECOND, base=base, form=form)
    if snapshot.lora is not None:
        link_tree(snapshot.lora, workspace.folder / LORA)
    sampler = _sampler(plan, workspace, get_compute, snapshot.folder, known_as=None)
    settings = sampler.settings
    pairs = [(prompt, settings.seeds[0]) for prompt in settings.prompts[:_THUMBNAIL_PROMPTS]]
    with workspace.progress.task("thumbnails", len(pairs)) as advance:
        samples = sampler.draw(pairs, workspace, advance)
    sheet = contact_sheet(
        [[sample.image for sample in samples]],
        title=f"epoch {snapshot.epoch}",
        row_labels=[f"seed {settings.seeds[0]}"],
        column_labels=[sample.prompt for sample in samples],
    )
    sheet.save(workspace.folder / THUMBNAILS, "PNG")
    dataset = plan.upstream["encoded_dataset"].build.inputs[0]
    return {
        "epoch": snapshot.epoch,
        "step": snapshot.step,
        "loss": snapshot.loss,
        "validation_loss": snapshot.validation_loss,
        **{f"validation_band_{at}": loss for at, loss in enumerate(snapshot.validation_bands)},
        "base_share": snapshot.base_share,
        "dataset_version": dataset.version,
        "weights_version": sampler.unet_version,
        "bytes": stored.stored,
        "bytes_full": stored.full,
    }


def blend(plan: Plan, workspace: Workspace) -> Facts:
    """Blend the base's UNet with the fine-tune's, or the averages that the checkpoints hold."""
    from styledag.merging.blend import blend_unet

    if "length" in plan.target.settings:
        return merge_stored(plan, workspace)
    base, tuned = plan.models["base_unet"], plan.upstream["ema_unet"]
    return blend_unet(
        base.folder / UNET,
        tuned.folder / UNET,
        float(plan.target.settings["weight"]),
        workspace.folder,
        parents={"base": base.version, "tuned": tuned.version},
        base_share=tuned.facts["base_share"],
        block_weights=plan.target.settings.get("block_weights"),
    )


def draw_grid(get_compute: GetCompute, plan: Plan, workspace: Workspace) -> Facts:
    """Draw the prompts by seeds of one blend."""
    from styledag.sampling.grid import draw_sample_grid

    merged = plan.upstream["merged_unet"]
    sampler = _sampler(
        plan,
        workspace,
        get_compute,
        merged.folder,
        known_as=merged.version,
        vae=tuned_vae(plan, workspace.items),
    )
    model, _, key = merged.partition.partition("/")
    facts = draw_sample_grid(sampler, workspace, title=f"{model} at {Blend.parse(key).name}")
    shown = {name: merged.facts[name] for name in _SHOWN_OF_BLEND if name in merged.facts}
    return {**facts, **shown}


def draw_evolution(
    graph: Graph, get_compute: GetCompute, plan: Plan, workspace: Workspace
) -> Facts:
    """Draw every prompt over the snapshots that training left."""
    from styledag.sampling import evolution

    base = plan.models["base"]
    snapshots = []
    for each in read_snapshots(plan.upstream["ema_unet"]):
        checkpoint = graph.store.by_version("checkpoint", each.partition, each.version)
        lend = partial(whole_unet, checkpoint, base=base.folder / UNET, scratch=workspace.scratch)
        version = checkpoint.facts["weights_version"]
        snapshots.append(evolution.SnapshotUnet(each.epoch, version, lend))
    sampler = _sampler(plan, workspace, get_compute, base.folder / UNET, known_as=base.version)
    return evolution.draw_evolution(
        sampler, snapshots, workspace, vae=tuned_vae(plan, workspace.items)
    )


def draw_denoising(get_compute: GetCompute, plan: Plan, workspace: Workspace) -> Facts:
    """Draw the fine-tune's denoising steps."""
    from styledag.sampling import denoising

    model = plan.upstream["ema_unet"]
    unet = model.folder / UNET
    vae = tuned_vae(plan, workspace.items)
    sampler = _sampler(plan, workspace, get_compute, unet, known_as=model.version, vae=vae)
    return denoising.draw_denoising(sampler, workspace)


def _stored(graph: Graph, model: ModelName, snapshot: "Snapshot") -> StoredSnapshot:
    target = plan_checkpoint(graph, model, snapshot.epoch).target
    artifact = graph.store.find(target)
    if artifact is None:
        artifact = graph.store.require(target.asset, target.partition)
    return StoredSnapshot(
        epoch=snapshot.epoch,
        step=snapshot.step,
        loss=snapshot.loss,
        validation_loss=snapshot.validation_loss,
        validation_bands=snapshot.validation_bands,
        base_share=snapshot.base_share,
        partition=target.partition,
        version=artifact.version,
    )


def _training_facts(result: "TrainingResult") -> Facts:
    final = result.final
    return {
        "epochs": final.epoch,
        "best_epoch": result.best_epoch,
        "stopped_early": result.stopped_early,
        "steps": final.step,
        "snapshots": len(result.snapshots),
        "loss": final.loss,
        "validation_loss": final.validation_loss,
        "base_share": final.base_share,
        "images_per_s": result.images_per_s,
        "seconds": result.seconds,
    }


def _sampler(
    plan: Plan,
    workspace: Workspace,
    get_compute: GetCompute,
    unet: Path,
    *,
    known_as: str | None,
    vae: "TunedVae | None" = None,
) -> "Sampler":
    from styledag.sampling.sampler import Sampler

    base = plan.models["base"]
    return Sampler(
        base.folder,
        plan.style.samples,
        get_compute(),
        base_version=base.version,
        unet=unet,
        unet_version=weights_version(unet, known_as=known_as, items=workspace.items),
        vae=vae,
    )


def _write_json(workspace: Workspace, name: str, content: object) -> None:
    (workspace.folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
