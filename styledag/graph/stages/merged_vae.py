"""The base's decoder and the tuned one, mixed as the recipe's `decoder.weight` says.

All of the model's grids and GIFs are drawn with it. Its parents' versions and the method are in
its header. A recipe without `decoder` has none.
"""

from styledag.graph.drawing import MERGED_VAE, UNTRAINED, VAE_OF_BASE, decoder_base_share
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage
from styledag.merging import blend
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def blend_decoder(inputs: Inputs, workspace: Workspace) -> Facts:
    """Blend the base's autoencoder with the tuned one, whose encoder is the same."""
    from styledag.bases.find import find_base
    from styledag.merging.blend import blend_unet

    weight = inputs.settings["weight"]
    if weight is None:
        return UNTRAINED
    tuned, base = inputs.upstream["vae_decoder"], inputs.models["base_vae"]
    autoencoder = find_base(base.folder).parts.autoencoder
    facts = blend_unet(
        base.folder / autoencoder,
        tuned.folder / autoencoder,
        weight,
        workspace.folder,
        parents={"base": base.version, "tuned": tuned.version},
        base_share=decoder_base_share(tuned),
    )
    return {"trained": True, **facts}


def _settings(declared: Declaration) -> Settings:
    decoder = declared.recipe.decoder
    return Settings(weight=None if decoder is None else decoder.weight)


STAGE = Stage(
    name=MERGED_VAE,
    grain="model",
    description=__doc__,
    group="blends",
    kinds=frozenset({"safetensors"}),
    code_version=blend.CODE_VERSION,
    run=blend_decoder,
    settings=_settings,
    reads=(Reads("vae_decoder"),),
    uses=(VAE_OF_BASE,),
)
