"""What the tuned decoder and its blend are built from, and who draws with it."""

from styledag.graph.graph import Graph
from styledag.graph.names import ModelName
from styledag.graph.plan import Plan, Planner
from styledag.merging import blend
from styledag.training.decoder import train as decoder

MERGED_VAE = "merged_vae"


def plan_vae_decoder(graph: Graph, model: ModelName) -> Plan:
    """Plan the fine-tune of the autoencoder's decoder; of nothing where the recipe has none."""
    planner = Planner(graph, "vae_decoder", str(model), model.style)
    recipe = graph.recipe(model)
    if recipe.decoder is None:
        return planner.plan(decoder.CODE_VERSION, decoder=None)
    planner.read("encoded_dataset", str(model))
    planner.read("image_dataset", model.style)
    planner.use("base_vae", graph.model(planner.style.base, ["vae"]))
    return planner.plan(decoder.CODE_VERSION, decoder=decoder.decoder_identity(recipe))


def plan_merged_vae(graph: Graph, model: ModelName) -> Plan:
    """Plan the blend of the base's decoder and the tuned one."""
    planner = Planner(graph, MERGED_VAE, str(model), model.style)
    planner.read("vae_decoder", str(model))
    settings = graph.recipe(model).decoder
    if settings is None:
        return planner.plan(blend.CODE_VERSION, weight=None)
    planner.use("base_vae", graph.model(planner.style.base, ["vae"]))
    return planner.plan(blend.CODE_VERSION, weight=settings.weight)


def draw_with_merged_vae(planner: Planner, model: ModelName) -> None:
    """Let an asset's images be decoded by the model's own decoder, where its recipe has one."""
    if planner.graph.recipe(model).decoder is not None:
        planner.read(MERGED_VAE, str(model))
