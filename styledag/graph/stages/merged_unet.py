"""One blend, one a weight of the fine-tune or a length of its average.

A weight mixes base and fine-tune. A length, such as `ema-0.150`, is the fine-tune with an average
of that share of the run, reconstructed from what the checkpoints keep. The parents' versions, the
method and the real amount of fine-tune are in the header.
"""

from styledag.graph.checkpoint_unets import UNET
from styledag.graph.snapshots import read_final
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage, uses_base
from styledag.graph.stored_averages import reconstruct_average
from styledag.merging import blend
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def blend_model(inputs: Inputs, workspace: Workspace) -> Facts:
    """Blend the base's UNet with the fine-tune's, or the averages that the checkpoints contain."""
    from styledag.bases.find import find_base
    from styledag.merging.blend import blend_unet

    settings = inputs.settings
    base, tuned = inputs.models["base_unet"], inputs.upstream["ema_unet"]
    if settings["length"] is not None:
        checkpoints = inputs.every("checkpoint")
        return reconstruct_average(settings["length"], tuned, checkpoints, base, workspace)
    return blend_unet(
        base.folder / UNET,
        tuned.folder / UNET,
        settings["weight"],
        workspace.folder,
        parents={"base": base.version, "tuned": tuned.version},
        base_share=read_final(tuned).base_share,
        block_weights=settings["block_weights"],
        blocks=find_base(base.folder).blocks,
    )


def _settings(declared: Declaration) -> Settings:
    blend = declared.blend
    by_block = dict(declared.style.blends.block_weights)
    # The base, and an average as training left it, are blended by no block.
    is_mixed = blend.length is None and blend.weight > 0
    return Settings(
        weight=blend.weight,
        length=blend.length,
        block_weights=by_block if by_block and is_mixed else None,
    )


STAGE = Stage(
    name="merged_unet",
    grain="blend",
    description=__doc__,
    group="blends",
    kinds=frozenset({"safetensors"}),
    code_version=blend.CODE_VERSION,
    run=blend_model,
    settings=_settings,
    reads=(
        Reads("ema_unet"),
        Reads("checkpoint", when=lambda declared: declared.blend.length is not None),
    ),
    uses=(uses_base("base_unet", (UNET,)),),
)
