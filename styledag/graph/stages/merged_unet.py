"""One blend: of base and fine-tune by a weight, of several models, or of another average.

A weight mixes base and fine-tune. A name, such as `both`, is a blend of several models, which may
be of other styles or made elsewhere. A length, such as `ema-0.150`, is the fine-tune with an
average of that share of the run, reconstructed from what the checkpoints keep. The parents'
versions, the method and the real amount of fine-tune are in the header.
"""

from styledag.graph.blending.averages import reconstruct_average
from styledag.graph.blending.models import (
    denoiser_part,
    foreign_role,
    outside_of,
    shares_of,
    uses_of_parts,
)
from styledag.graph.blends import mixed_with
from styledag.graph.names import Partition
from styledag.graph.snapshots import read_final
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage, Uses, uses_base
from styledag.merging import blend
from styledag.models.reference import ResolvedModel
from styledag.store.artifact import Artifact, Facts
from styledag.store.workspace import Workspace


def blend_model(inputs: Inputs, workspace: Workspace) -> Facts:
    """Blend the base's UNet with the fine-tune's, or the averages that the checkpoints contain."""
    from styledag.bases.find import find_base
    from styledag.merging.blend import FineTune, blend_models

    settings = inputs.settings
    base, tuned = inputs.models["base_unet"], inputs.upstream["ema_unet"]
    if settings["length"] is not None:
        checkpoints = inputs.every("checkpoint")
        return reconstruct_average(settings["length"], tuned, checkpoints, base, workspace)
    blends, weights = settings["blends"], settings["weights"]
    others = {role: inputs.models[role] for role in blends.method.models()}
    found = find_base(base.folder)
    denoiser = found.parts.denoiser
    trained = {inputs.partition.model_key: tuned, **inputs.every("ema_unet")}
    foreign = {name: inputs.models[foreign_role(name)] for name in blends.foreign_in(weights)}
    models: dict[str, Artifact | ResolvedModel] = {**trained, **foreign}
    fine_tunes = [
        FineTune(
            name=name,
            folder=models[name].folder / denoiser,
            weight=weight,
            base_share=read_final(trained[name]).base_share if name in trained else 0.0,
        )
        for name, weight in weights.items()
    ]
    is_mixed = len(models) > 1
    return blend_models(
        base.folder / denoiser,
        fine_tunes,
        workspace.folder,
        parents={
            "base": base.version,
            **{
                f"tuned.{name}" if is_mixed else "tuned": model.version
                for name, model in models.items()
            },
            **{role: model.version for role, model in others.items()},
        },
        block_weights=blends.block_weights if any(weights.values()) else {},
        method=blends.method,
        others={role: model.folder / denoiser for role, model in others.items()},
        blocks=found.blocks,
    )


def _settings(declared: Declaration) -> Settings:
    blend, blends = declared.blend, declared.style.blends
    if blend.length is not None:
        return Settings(length=blend.length)
    stated, weights = shares_of(declared)
    identity = blends.identity(blend.weight)
    return Settings(**stated, length=None, **identity).beside(blends=blends, weights=weights)


def _outside(declared: Declaration) -> list[Uses]:
    return uses_of_parts(outside_of(declared), denoiser_part)


def _mixed_with(declared: Declaration) -> list[Partition]:
    return mixed_with(declared.style, declared.partition)


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
        Reads("ema_unet", further=_mixed_with),
        Reads("checkpoint", when=lambda declared: declared.blend.length is not None),
    ),
    uses=(uses_base("base_unet", denoiser_part),),
    further_uses=_outside,
)
