"""What each asset of a model is built from."""

from typing import Any

from styledag.diffusion import encode, train
from styledag.graph.graph import DENOISER, ENCODERS, PIPELINE, Graph
from styledag.graph.names import ModelName, epoch_key, model_part, weight_key
from styledag.graph.plan import Plan, Planner
from styledag.merging import blend
from styledag.report import report
from styledag.sampling import denoising, evolution, grid, sampler
from styledag.scoring import score
from styledag.settings import settings_identity

CHECKPOINT_CODE_VERSION = f"{train.CODE_VERSION}.{grid.CODE_VERSION}"


def plan_encoded_dataset(graph: Graph, model: ModelName) -> Plan:
    """Plan what the base's encoders make of pictures and captions.

    With a prior the whole base decides it, since it draws the class's pictures.
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
        # Its weight in the loss changes no picture.
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


def plan_merged_unet(graph: Graph, model: ModelName, weight: float) -> Plan:
    """Plan one blend of base and fine-tune."""
    partition = model_part(model, weight_key(weight))
    planner = Planner(graph, "merged_unet", partition, model.style)
    planner.read("ema_unet", str(model))
    planner.use("base_unet", graph.model(planner.style.base, ["unet"]))
    return planner.plan(blend.CODE_VERSION, weight=weight_key(weight))


def plan_sample_grid(graph: Graph, model: ModelName, weight: float) -> Plan:
    """Plan the prompts by seeds of one blend."""
    partition = model_part(model, weight_key(weight))
    planner = Planner(graph, "sample_grid", partition, model.style)
    planner.read("merged_unet", partition)
    planner.use("base", graph.model(planner.style.base, PIPELINE))
    return planner.plan(grid.CODE_VERSION, planner.style.samples)


def plan_evolution(graph: Graph, model: ModelName) -> Plan:
    """Plan the GIFs over the snapshots that training left."""
    planner = Planner(graph, "evolution", str(model), model.style)
    planner.read("ema_unet", str(model))
    planner.use("base", graph.model(planner.style.base, PIPELINE))
    return planner.plan(evolution.CODE_VERSION, planner.style.samples)


def plan_denoising(graph: Graph, model: ModelName) -> Plan:
    """Plan the GIFs over the fine-tune's denoising steps."""
    planner = Planner(graph, "denoising", str(model), model.style)
    planner.read("ema_unet", str(model))
    planner.use("base", graph.model(planner.style.base, PIPELINE))
    return planner.plan(denoising.CODE_VERSION, planner.style.samples)


def plan_scores(graph: Graph, model: ModelName) -> Plan:
    """Plan the judgement of every checkpoint and blend."""
    planner = Planner(graph, "scores", str(model), model.style)
    _read_grids(planner, model)
    planner.read("ema_unet", str(model))
    planner.read("evolution", str(model))
    planner.read("image_dataset", model.style)
    planner.use("scorer", graph.model(planner.style.scores.scorer))
    return planner.plan(score.CODE_VERSION, planner.style.scores)


def plan_model_report(graph: Graph, model: ModelName) -> Plan:
    """Plan the page about a model."""
    planner = Planner(graph, "model_report", str(model), model.style)
    _read_grids(planner, model)
    for asset in ("ema_unet", "evolution", "denoising", "scores"):
        planner.read(asset, str(model))
    return planner.plan(report.CODE_VERSION, description=planner.style.description)


def _read_grids(planner: Planner, model: ModelName) -> None:
    for weight in planner.style.blends.weights:
        key = weight_key(weight)
        planner.read("sample_grid", model_part(model, key), as_name=f"sample_grid/{key}")
