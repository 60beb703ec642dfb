"""The assets of a model: from the encoded dataset to the page about it."""

from functools import partial

import dagster as dg

from styledag.defs.checkpoint_log import CheckpointLog
from styledag.defs.materialise import AssetDecorator, GraphRun, built_metadata, failures
from styledag.defs.partitions import (
    EPOCH_DIMENSION,
    WEIGHT_DIMENSION,
    Partitions,
    model_and_key,
)
from styledag.defs.previews import image_of
from styledag.defs.resources import ComputeResource
from styledag.graph import model_plans, model_stages
from styledag.graph.blends import Blend
from styledag.graph.names import ModelName, model_part
from styledag.graph.report_contents import write_model_report
from styledag.graph.score_stage import judge
from styledag.merging import blend
from styledag.report import report
from styledag.sampling import denoising as denoising_stage
from styledag.sampling import evolution as evolution_stage
from styledag.sampling import grid
from styledag.scoring import score
from styledag.store.store import Built
from styledag.training import train
from styledag.training.encoding import encode


def model_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """Return the assets that are partitioned by model, alone or with epoch or weight."""
    return [
        *_training_assets(partitions),
        *_blend_assets(partitions),
        *_showing_assets(partitions),
    ]


def _training_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    of_model: AssetDecorator = partial(
        dg.asset,
        partitions_def=partitions.models,
        group_name="training",
        owners=["team:styledag"],
        pool="gpu",
    )

    @of_model(
        kinds={"diffusers", "safetensors"},
        code_version=encode.CODE_VERSION,
        deps=[dg.AssetDep("image_dataset", partition_mapping=partitions.style_to_models)],
    )
    def encoded_dataset(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: ComputeResource,
    ) -> dg.MaterializeResult:
        """VAE posterior moments and text-encoder states, one row an image and its mirror image.

        Made once by the base's frozen parts, so that training never runs them. A recipe with a
        prior has the base's own images of the class encoded beside them.
        """
        model = ModelName.parse(context.partition_key)
        return graph.materialise(
            context,
            lambda: model_plans.plan_encoded_dataset(graph.graph, model),
            partial(model_stages.encode, graph.graph, compute.resolve),
        )

    @of_model(kinds={"torch", "diffusers"}, code_version=train.CODE_VERSION, deps=[encoded_dataset])
    def ema_unet(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: ComputeResource,
    ) -> dg.MaterializeResult:
        """The fine-tuned UNet of a recipe, one a model: the moving average after the last epoch.

        While it trains, every snapshot appears as its own partition of `checkpoint`. A run that
        was killed goes on where it was.
        """
        model = ModelName.parse(context.partition_key)
        checkpoints = CheckpointLog(context, graph, model, compute.resolve)
        result = graph.materialise(
            context,
            lambda: model_plans.plan_ema_unet(graph.graph, model),
            partial(model_stages.fine_tune, graph.graph, checkpoints.publish, compute.resolve),
        )
        with failures():
            checkpoints.announce_kept()
        return result

    @dg.asset(
        partitions_def=partitions.checkpoints,
        group_name="training",
        owners=["team:styledag"],
        kinds={"safetensors"},
        code_version=model_plans.CHECKPOINT_CODE_VERSION,
        # What training reads, not what it gives: a snapshot is logged before the model is done.
        deps=[encoded_dataset],
    )
    def checkpoint(
        context: dg.AssetExecutionContext, graph: dg.ResourceParam[GraphRun]
    ) -> dg.MaterializeResult:
        """One snapshot of a training run, one an epoch, with its loss and thumbnails.

        Logged live by `ema_unet`. Materialising it by hand checks the stored files byte by byte.
        """
        model, epoch = model_and_key(context, EPOCH_DIMENSION)
        with failures():
            artifact = graph.graph.store.require("checkpoint", model_part(model, epoch))
            artifact.verify()
        return dg.MaterializeResult(
            data_version=dg.DataVersion(artifact.version),
            metadata=built_metadata(
                Built(artifact, cached=True, work={}), image_of(model_stages.THUMBNAILS)
            ),
        )

    return [encoded_dataset, ema_unet, checkpoint]


def _blend_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    of_blend: AssetDecorator = partial(
        dg.asset,
        partitions_def=partitions.blends,
        group_name="blends",
        owners=["team:styledag"],
    )

    @of_blend(kinds={"safetensors"}, code_version=blend.CODE_VERSION, deps=["ema_unet"])
    def merged_unet(
        context: dg.AssetExecutionContext, graph: dg.ResourceParam[GraphRun]
    ) -> dg.MaterializeResult:
        """One blend, one a weight of the fine-tune or a length of its average.

        A weight mixes base and fine-tune. A length, such as `ema-0.150`, is the fine-tune with an
        average of that share of the run, reconstructed from what the checkpoints keep. The
        parents' versions, the method and the real amount of fine-tune are in the header.
        """
        model, key = model_and_key(context, WEIGHT_DIMENSION)
        return graph.materialise(
            context,
            lambda: model_plans.plan_merged_unet(graph.graph, model, Blend.parse(key)),
            model_stages.blend,
        )

    @of_blend(
        kinds={"diffusers", "png"},
        code_version=grid.CODE_VERSION,
        deps=[merged_unet, "merged_vae"],
        pool="gpu",
    )
    def sample_grid(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: ComputeResource,
    ) -> dg.MaterializeResult:
        """Prompts by seeds of one blend, labelled; an image follows from prompt and seed alone."""
        model, key = model_and_key(context, WEIGHT_DIMENSION)
        return graph.materialise(
            context,
            lambda: model_plans.plan_sample_grid(graph.graph, model, Blend.parse(key)),
            partial(model_stages.draw_grid, compute.resolve),
            preview=image_of(grid.GRID),
        )

    return [merged_unet, sample_grid]


def _showing_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    of_model: AssetDecorator = partial(
        dg.asset,
        partitions_def=partitions.models,
        group_name="results",
        owners=["team:styledag"],
    )

    @of_model(
        kinds={"diffusers", "gif"},
        code_version=evolution_stage.CODE_VERSION,
        deps=["ema_unet", "checkpoint", "merged_vae"],
        pool="gpu",
    )
    def evolution(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: ComputeResource,
    ) -> dg.MaterializeResult:
        """How images change over training, one GIF a prompt and seed, the base first."""
        model = ModelName.parse(context.partition_key)
        return graph.materialise(
            context,
            lambda: model_plans.plan_evolution(graph.graph, model),
            partial(model_stages.draw_evolution, graph.graph, compute.resolve),
            preview=image_of("gifs/*/all.gif"),
        )

    @of_model(
        kinds={"diffusers", "gif"},
        code_version=denoising_stage.CODE_VERSION,
        deps=["ema_unet", "merged_vae"],
        pool="gpu",
    )
    def denoising(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: ComputeResource,
    ) -> dg.MaterializeResult:
        """How images emerge from noise, one GIF a prompt and seed over the denoising steps."""
        model = ModelName.parse(context.partition_key)
        return graph.materialise(
            context,
            lambda: model_plans.plan_denoising(graph.graph, model),
            partial(model_stages.draw_denoising, compute.resolve),
            preview=image_of("gifs/*/*.gif"),
        )

    @of_model(
        kinds={"transformers", "numpy"},
        code_version=score.CODE_VERSION,
        deps=[
            "ema_unet",
            "sample_grid",
            evolution,
            dg.AssetDep("image_dataset", partition_mapping=partitions.style_to_models),
        ],
        pool="gpu",
    )
    def scores(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: ComputeResource,
    ) -> dg.MaterializeResult:
        """Style, retention and copying, one row a checkpoint or blend, and the recommended one."""
        model = ModelName.parse(context.partition_key)
        return graph.materialise(
            context,
            lambda: model_plans.plan_scores(graph.graph, model),
            partial(judge, compute.resolve),
        )

    @of_model(
        kinds={"html"},
        code_version=report.CODE_VERSION,
        deps=["ema_unet", "merged_vae", "sample_grid", evolution, denoising, scores],
    )
    def model_report(
        context: dg.AssetExecutionContext, graph: dg.ResourceParam[GraphRun]
    ) -> dg.MaterializeResult:
        """One self-contained page about a model, one a model: images, scores, data, lineage."""
        model = ModelName.parse(context.partition_key)
        return graph.materialise(
            context,
            lambda: model_plans.plan_model_report(graph.graph, model),
            partial(write_model_report, graph.graph),
        )

    return [evolution, denoising, scores, model_report]
