"""The assets of the autoencoder's decoder: fine-tuned, and blended with the base's."""

from functools import partial

import dagster as dg

from styledag.defs.materialise import AssetDecorator, GraphRun
from styledag.defs.partitions import Partitions
from styledag.defs.resources import ComputeResource
from styledag.graph import decoder_plans, decoder_stages
from styledag.graph.names import ModelName
from styledag.merging import blend
from styledag.training.decoder import train as decoder


def decoder_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """Return the tuned decoder and its blend, partitioned by model."""
    of_model: AssetDecorator = partial(
        dg.asset, partitions_def=partitions.models, owners=["team:styledag"]
    )

    @of_model(
        kinds={"torch", "diffusers"},
        group_name="training",
        code_version=decoder.CODE_VERSION,
        deps=[
            "encoded_dataset",
            dg.AssetDep("image_dataset", partition_mapping=partitions.style_to_models),
        ],
        pool="gpu",
    )
    def vae_decoder(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: ComputeResource,
    ) -> dg.MaterializeResult:
        """The autoencoder with a decoder fine-tuned on the style's images, one a model.

        Its encoder is the base's, bit for bit. A recipe without `decoder` trains none: then this
        holds no file, and images are drawn with the base's own.
        """
        model = ModelName.parse(context.partition_key)
        return graph.materialise(
            context,
            lambda: decoder_plans.plan_vae_decoder(graph.graph, model),
            partial(decoder_stages.tune_decoder, graph.graph, compute.resolve),
        )

    @of_model(
        kinds={"safetensors"},
        group_name="blends",
        code_version=blend.CODE_VERSION,
        deps=[vae_decoder],
    )
    def merged_vae(
        context: dg.AssetExecutionContext, graph: dg.ResourceParam[GraphRun]
    ) -> dg.MaterializeResult:
        """The base's decoder and the tuned one, mixed as the recipe's `decoder.weight` says.

        All of the model's grids and GIFs are drawn with it. Its parents' versions and the method
        are in its header. A recipe without `decoder` has none.
        """
        model = ModelName.parse(context.partition_key)
        return graph.materialise(
            context,
            lambda: decoder_plans.plan_merged_vae(graph.graph, model),
            decoder_stages.blend_decoder,
        )

    return [vae_decoder, merged_vae]
