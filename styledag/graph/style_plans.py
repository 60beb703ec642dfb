"""What each asset of a style is built from."""

from styledag.captions import caption
from styledag.captions.captioner import processor_backend
from styledag.captions.rules import RULES_VERSION
from styledag.collect import collect
from styledag.dataset import build
from styledag.graph.graph import Graph
from styledag.graph.plan import Plan, Planner, merged_identity
from styledag.images import curate, normalise
from styledag.images.encode import codec_versions

STYLE_CODE_VERSION = "1"


def plan_style(graph: Graph, style: str) -> Plan:
    """Plan the style file in its resolved form, all defaults filled in."""
    planner = Planner(graph, "style", style, style)
    declared = planner.style.model_dump(mode="json")
    return planner.plan(STYLE_CODE_VERSION, style=declared)


def plan_raw_images(graph: Graph, style: str) -> Plan:
    """Plan the images as their sources serve them now."""
    planner = Planner(graph, "raw_images", style, style)
    sources = [merged_identity([source]) for source in planner.style.sources]
    return planner.plan(collect.CODE_VERSION, world=True, sources=sources)


def plan_jpeg_images(graph: Graph, style: str) -> Plan:
    """Plan the RGB JPEGs."""
    planner = Planner(graph, "jpeg_images", style, style)
    planner.read("raw_images", style)
    return planner.plan(normalise.CODE_VERSION, planner.style.images, codec=codec_versions())


def plan_curated_images(graph: Graph, style: str) -> Plan:
    """Plan the choice of images."""
    planner = Planner(graph, "curated_images", style, style)
    planner.read("jpeg_images", style)
    if planner.style.curation.embedding == "scorer":
        planner.use("scorer", graph.model(planner.style.scores.scorer))
    return planner.plan(curate.CODE_VERSION, planner.style.curation)


def plan_captions(graph: Graph, style: str) -> Plan:
    """Plan the captions."""
    planner = Planner(graph, "captions", style, style)
    planner.read("curated_images", style)
    settings = planner.style.captions
    if settings.captioner is not None:
        planner.use("captioner", graph.model(settings.captioner))
    planner.use("base_tokenizer", graph.model(planner.style.base, ["tokenizer"]))
    if settings.overrides is not None:
        planner.add(graph.file_input("captions.overrides", settings.overrides))
    return planner.plan(
        caption.CODE_VERSION, settings, rules=RULES_VERSION, processor=processor_backend()
    )


def plan_image_dataset(graph: Graph, style: str) -> Plan:
    """Plan the Hugging Face dataset."""
    planner = Planner(graph, "image_dataset", style, style)
    planner.read("captions", style)
    return planner.plan(
        build.CODE_VERSION, planner.style.dataset, description=planner.style.description
    )
