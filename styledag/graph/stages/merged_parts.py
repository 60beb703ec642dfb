"""Text encoders and autoencoder of one blend, where models from elsewhere bring their own.

By the method and the weights of the denoiser, times the shares in `blends.parts`; the style's own
models have the base's. A blend without a model from elsewhere has no file here: it is drawn with
the base's parts.
"""

from typing import TYPE_CHECKING

from styledag.graph.blending.base import MERGED_PARTS, has_parts
from styledag.graph.blending.models import foreign_role, outside_of, shares_of, uses_of_parts
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage, Uses
from styledag.merging import blend
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    from styledag.bases.base import Parts

_BASE = "base_parts"


def blend_parts(inputs: Inputs, workspace: Workspace) -> Facts:
    """Blend each part that the style names."""
    from styledag.merging.blend import FineTune, blend_models

    parts = inputs.settings["parts"]
    if not parts:
        return {"blended": []}
    blends, weights = inputs.settings["blends"], inputs.settings["weights"]
    base = inputs.models[_BASE]
    others = {role: inputs.models[role] for role in blends.method.models()}
    foreign = {name: inputs.models[foreign_role(name)] for name in blends.foreign_in(weights)}
    parents = {
        "base": base.version,
        **{f"tuned.{name}": model.version for name, model in foreign.items()},
        **{role: model.version for role, model in others.items()},
    }
    blended = {
        part: blend_models(
            base.folder / part,
            [
                FineTune(
                    name=name, folder=foreign.get(name, base).folder / part, weight=weight * share
                )
                for name, weight in weights.items()
            ],
            workspace.folder / part,
            parents=parents,
            block_weights={},
            method=blends.method,
            others={role: model.folder / part for role, model in others.items()},
            blocks={},
        )
        for part, share in parts.items()
    }
    return {"blended": list(blended), **blended}


def _settings(declared: Declaration) -> Settings:
    blends = declared.style.blends
    if not outside_of(declared):
        return Settings(parts={})
    stated, weights = shares_of(declared)
    return Settings(
        parts=dict(sorted(blends.parts.items())), **stated, **blends.method_identity
    ).beside(blends=blends, weights=weights)


def _uses(declared: Declaration) -> list[Uses]:
    named = tuple(sorted(declared.style.blends.parts))

    def parts(_: "Parts") -> tuple[str, ...]:
        return named

    outside = outside_of(declared)
    return uses_of_parts({_BASE: declared.style.base, **outside} if outside else {}, parts)


STAGE = Stage(
    name=MERGED_PARTS,
    grain="blend",
    description=__doc__,
    group="blends",
    kinds=frozenset({"safetensors"}),
    code_version=blend.CODE_VERSION,
    run=blend_parts,
    is_asked_for=has_parts,
    settings=_settings,
    # Nothing of it is read: it is what the other parts belong to, and are made after.
    reads=(Reads("ema_unet"),),
    further_uses=_uses,
)
