"""What each asset of a model is built from."""

from typing import Any

from styledag.graph.blends import Blend, blends_of
from styledag.graph.decoder_plans import draw_with_merged_vae
from styledag.graph.graph import DENOISER, ENCODERS, PIPELINE, Graph
from styledag.graph.names import ModelName, epoch_key, model_part
from styledag.graph.plan import Plan, Planner
from styledag.graph.stored_averages import read_checkpoints
from styledag.merging.blend import CODE_VERSION as MERGED_CODE_VERSION
from styledag.report import report
from styledag.sampling import denoising, evolution, grid, sampler
from styledag.scoring import score
from styledag.settings import settings_identity
from styledag.training import train
from styledag.training.encoding import encode

CHECKPOINT_CODE_VERSION = f"{train.CODE_VERSION}.{grid.CODE_VERSION}"


def plan_encoded_dataset(graph: Graph, model: ModelName) -> Plan:
    """Plan what the base's encoders make of images and captions.

    With a prior the whole base decides it, since it draws the class's images.
    """
    planner = Planner(graph, "encoded_dataset", str(model), model.style)
    planner.read("image_dataset", model.style)
    planner.use("base_encoders", graph.model(planner.style.base, ENCODERS))
    recipe = graph.recipe(model)
    further: dict[str, Any] = {}
    if recipe.instance_prompt is not None:
        further["instance_prompt"] = recipe.instance_prompt
    if recipe.prior is not None:
        planner.use("base", graph.model(planner.style.base, PIPELINE))
        # Its weight in the loss changes no image.
        drawn_as = {**settings_identity(recipe.prior), "code_version": sampler.CODE_VERSION}
        further["prior"] = {k: v for k, v in drawn_as.items() if k != "loss_weight"}
    return planner.plan(encode.CODE_VERSION, flip=recipe.horizontal_flip, **further)


def plan_ema_unet(graph: Graph, model: ModelName) -> Plan:
    """Plan the fine-tune."""
    planner = Planner(graph, "ema_unet", str(model), model.style)
    planner.read("encoded_dataset", str(model))
    planner.use("base_unet", graph.model(planner.style.base, DENOISER))
    return planner.plan(train.CODE_VERSION, graph.recipe(model))


def plan_checkpoint(graph: Graph, model: ModelName, epoch: int) -> Plan:
    """Plan one snapshot with its thumbnails; it reads what training reads."""
    partition = model_part(model, epoch_key(epoch))
    planner = Planner(graph, "checkpoint", partition, model.style)
    planner.read("encoded_dataset", str(model))
    planner.use("base", graph.model(planner.style.base, PIPELINE))
    return planner.plan(
        CHECKPOINT_CODE_VERSION, graph.recipe(model), planner.style.samples, epoch=epoch
    )


def plan_merged_unet(graph: Graph, model: ModelName, blend: Blend) -> Plan:
    """Plan one blend: of base and fine-tune, or of the averages that its checkpoints hold."""
    planner = Planner(graph, "merged_unet", model_part(model, blend.key), model.style)
    tuned = planner.read("ema_unet", str(model))
    planner.use("base_unet", graph.model(planner.style.base, ["unet"]))
    if blend.length is None:
        blends = planner.style.blends
        for role, reference in blends.method.models().items():
            planner.use(role, graph.model(reference, ["unet"]))
        further = blends.identity(blend.weight)
        return planner.plan(MERGED_CODE_VERSION, weight=blend.key, **further)
    read_checkpoints(planner, tuned)
    return planner.plan(MERGED_CODE_VERSION, length=blend.key)


def plan_sample_grid(graph: Graph, model: ModelName, blend: Blend) -> Plan:
    """Plan the prompts by seeds of one blend."""
    partition = model_part(model, blend.key)
    planner = Planner(graph, "sample_grid", partition, model.style)
    planner.read("merged_unet", partition)
    draw_with_merged_vae(planner, model)
    planner.use("base", graph.model(planner.style.base, PIPELINE))
    return planner.plan(grid.CODE_VERSION, planner.style.samples)


def plan_evolution(graph: Graph, model: ModelName) -> Plan:
    """Plan the GIFs over the snapshots that training left."""
    planner = Planner(graph, "evolution", str(model), model.style)
    planner.read("ema_unet", str(model))
    draw_with_merged_vae(planner, model)
    planner.use("base", graph.model(planner.style.base, PIPELINE))
    return planner.plan(evolution.CODE_VERSION, planner.style.samples)


def plan_denoising(graph: Graph, model: ModelName) -> Plan:
    """Plan the GIFs over the fine-tune's denoising steps."""
    planner = Planner(graph, "denoising", str(model), model.style)
    planner.read("ema_unet", str(model))
    draw_with_merged_vae(planner, model)
    planner.use("base", graph.model(planner.style.base, PIPELINE))
    return planner.plan(denoising.CODE_VERSION, planner.style.samples)


def plan_scores(graph: Graph, model: ModelName) -> Plan:
    """Plan the judgement of every checkpoint and blend."""
    planner = Planner(graph, "scores", str(model), model.style)
    _read_grids(planner, model)
    planner.read("ema_unet", str(model))
    planner.read("evolution", str(model))
    planner.read("image_dataset", model.style)
    scores = planner.style.scores
    planner.use("scorer", graph.model(scores.scorer))
    if scores.classifier is not None:
        planner.use("classifier", graph.model(scores.classifier))
    return planner.plan(score.CODE_VERSION, scores)


def plan_model_report(graph: Graph, model: ModelName) -> Plan:
    """Plan the page about a model."""
    planner = Planner(graph, "model_report", str(model), model.style)
    _read_grids(planner, model)
    for asset in ("ema_unet", "evolution", "denoising", "scores"):
        planner.read(asset, str(model))
    draw_with_merged_vae(planner, model)
    return planner.plan(report.CODE_VERSION, description=planner.style.description)


def _read_grids(planner: Planner, model: ModelName) -> None:
    for blend in blends_of(planner.style, model.recipe):
        partition = model_part(model, blend.key)
        planner.read("sample_grid", partition, as_name=f"sample_grid/{blend.key}")
