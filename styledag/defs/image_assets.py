"""The assets of a style: from its file to a Hugging Face dataset."""

from functools import partial

import dagster as dg

from styledag.captions import caption
from styledag.captions.records import CaptionedImage
from styledag.collect import collect
from styledag.collect.records import RawImage
from styledag.dataset import build
from styledag.defs.materialise import AssetDecorator, GraphRun, nothing_lost
from styledag.defs.partitions import Partitions
from styledag.defs.previews import dataset_images, first_images, image_of
from styledag.defs.resources import ComputeResource
from styledag.graph import style_plans
from styledag.graph.plan import Plan
from styledag.images import curate, normalise
from styledag.images.records import CuratedImage, JpegImage
from styledag.manifest import Manifest
from styledag.settings import canonical_json
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def image_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """Return the assets that are partitioned by style."""
    of_style: AssetDecorator = partial(
        dg.asset,
        partitions_def=partitions.styles,
        group_name="images",
        owners=["team:styledag"],
    )

    @of_style(kinds={"yaml"}, code_version=style_plans.STYLE_CODE_VERSION)
    def style(
        context: dg.AssetExecutionContext, graph: dg.ResourceParam[GraphRun]
    ) -> dg.MaterializeResult:
        """The style file in its resolved form: one JSON document, all defaults filled in."""
        return graph.materialise(
            context, lambda: style_plans.plan_style(graph.graph, context.partition_key), _resolve
        )

    @of_style(
        kinds={"beautifulsoup", "python"},
        code_version=collect.CODE_VERSION,
        deps=[style],
        check_specs=[nothing_lost("raw_images")],
    )
    def raw_images(
        context: dg.AssetExecutionContext, graph: dg.ResourceParam[GraphRun]
    ) -> dg.MaterializeResult:
        """Images exactly as their sources serve them, one row an image.

        With provenance: page, address, title, alternative text, licence, author, ETag, hashes.
        Sources are asked on every run; what they have not changed is not sent again.
        """
        return graph.materialise(
            context,
            lambda: style_plans.plan_raw_images(graph.graph, context.partition_key),
            partial(_collect, graph),
            preview=first_images(RawImage, lambda row: row.sha256),
        )

    @of_style(
        kinds={"pillow"},
        code_version=normalise.CODE_VERSION,
        deps=[raw_images],
        check_specs=[nothing_lost("jpeg_images")],
    )
    def jpeg_images(
        context: dg.AssetExecutionContext, graph: dg.ResourceParam[GraphRun]
    ) -> dg.MaterializeResult:
        """RGB JPEGs of the declared size or buckets, one row an image.

        What no decoder can read is rejected by reason.
        """
        return graph.materialise(
            context,
            lambda: style_plans.plan_jpeg_images(graph.graph, context.partition_key),
            _normalise,
            preview=first_images(JpegImage, lambda row: row.sha256),
        )

    @of_style(
        kinds={"pillow", "numpy"},
        code_version=curate.CODE_VERSION,
        deps=[jpeg_images],
        check_specs=[nothing_lost("curated_images")],
        pool="gpu",
    )
    def curated_images(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: ComputeResource,
    ) -> dg.MaterializeResult:
        """The images to train on, one row an image.

        Copies are dropped, families of near-duplicates capped, poor quality left out.
        `contact_sheet.html` shows the families.
        """
        return graph.materialise(
            context,
            lambda: style_plans.plan_curated_images(graph.graph, context.partition_key),
            partial(_curate, compute),
            preview=image_of("families.jpg"),
        )

    @of_style(
        kinds={"transformers", "huggingface"},
        code_version=caption.CODE_VERSION,
        deps=[curated_images],
        check_specs=[nothing_lost("captions")],
        pool="gpu",
    )
    def captions(
        context: dg.AssetExecutionContext,
        graph: dg.ResourceParam[GraphRun],
        compute: ComputeResource,
    ) -> dg.MaterializeResult:
        """What each image shows, one row an image.

        The raw caption, the cleaned caption, and who said it: BLIP, the page, or a person, who
        always wins.
        """
        return graph.materialise(
            context,
            lambda: style_plans.plan_captions(graph.graph, context.partition_key),
            partial(_caption, graph, compute),
            preview=first_images(CaptionedImage, lambda row: row.image.sha256),
        )

    @of_style(kinds={"huggingface", "parquet"}, code_version=build.CODE_VERSION, deps=[captions])
    def image_dataset(
        context: dg.AssetExecutionContext, graph: dg.ResourceParam[GraphRun]
    ) -> dg.MaterializeResult:
        """A folder that `datasets.load_dataset` reads, one row an image.

        With provenance and a card; families of near-duplicates lie whole in one split.
        """
        return graph.materialise(
            context,
            lambda: style_plans.plan_image_dataset(graph.graph, context.partition_key),
            _build_dataset,
            preview=dataset_images,
        )

    return [style, raw_images, jpeg_images, curated_images, captions, image_dataset]


def _resolve(plan: Plan, workspace: Workspace) -> Facts:
    resolved = plan.target.settings["style"]
    (workspace.folder / "style.json").write_text(canonical_json(resolved), encoding="utf-8")
    return {
        "sources": len(plan.style.sources),
        "recipes": ", ".join(plan.style.recipes),
        "description": plan.style.description,
    }


def _collect(graph: GraphRun, plan: Plan, workspace: Workspace) -> Facts:
    sources, project = plan.style.sources, graph.graph.project.root
    return collect.collect_images(sources, workspace, project=project).facts


def _normalise(plan: Plan, workspace: Workspace) -> Facts:
    raw = Manifest.read(plan.folder("raw_images"), RawImage)
    jpegs = normalise.normalise_images(raw, plan.style.images, workspace)
    return normalise.jpeg_facts(jpegs)


def _curate(compute: ComputeResource, plan: Plan, workspace: Workspace) -> Facts:
    from styledag.images.embedding import Embedder, PixelEmbedder
    from styledag.scoring.clip import ClipScorer

    embed: Embedder = PixelEmbedder()
    if "scorer" in plan.models:
        scorer = plan.models["scorer"]
        embed = ClipScorer(
            scorer.folder,
            scorer.version,
            compute.resolve(),
            batch_size=plan.style.scores.batch_size,
        )
    jpegs = Manifest.read(plan.folder("jpeg_images"), JpegImage)
    settings = plan.style.curation
    curated = curate.curate_images(jpegs, settings, workspace, embed=embed)
    return curate.curation_facts(curated, jpegs, settings)


def _caption(graph: GraphRun, compute: ComputeResource, plan: Plan, workspace: Workspace) -> Facts:
    from styledag.captions.facts import caption_facts
    from styledag.captions.find import find_captioner
    from styledag.captions.length import ClipTokens

    settings = plan.style.captions
    captioner = find_captioner(
        settings, plan.models.get("captioner"), compute.resolve, workspace.work
    )
    tokens = ClipTokens(plan.models["base_tokenizer"].folder)
    overrides = graph.graph.path(settings.overrides) if settings.overrides else None
    manifest = caption.caption_images(
        Manifest.read(plan.folder("curated_images"), CuratedImage),
        settings,
        workspace,
        captioner=captioner,
        tokens=tokens,
        overrides=overrides,
    )
    manifest.write(workspace.folder)
    return caption_facts(manifest, tokens, overrides=overrides)


def _build_dataset(plan: Plan, workspace: Workspace) -> Facts:
    return build.build_image_dataset(
        Manifest.read(plan.folder("captions"), CaptionedImage),
        plan.style.dataset,
        workspace,
        style=plan.target.partition,
        description=plan.style.description,
    )
