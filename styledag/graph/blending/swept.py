"""The blends of a style's sweep: between base and fine-tune, made in memory and never stored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from styledag.graph.blending.models import denoiser_part, uses_of_parts
from styledag.graph.checkpoint_unets import denoiser_of
from styledag.graph.snapshots import read_final
from styledag.graph.stage import Declaration, Inputs, Reads, Uses
from styledag.merging import blend
from styledag.merging.settings import BlendSettings
from styledag.store.items import item_key

if TYPE_CHECKING:
    from styledag.sampling.frozen_parts import FrozenParts
    from styledag.sampling.weights import Weights

SWEEP = "sweep"


def has_sweep(declared: Declaration) -> bool:
    """Return whether a style sweeps the weights of its models."""
    return bool(declared.style.blends.sweep)


def swept_denoisers(declared: Declaration) -> list[Uses]:
    """Return the uses of the further models that the style's merge method reads in a sweep."""
    models = declared.style.blends.method.models() if has_sweep(declared) else {}
    return uses_of_parts(models, denoiser_part)


READS_SWEEP = Reads(SWEEP, when=has_sweep)


def base_share_of(inputs: Inputs) -> float:
    """Return the share of the base that the fine-tune's average still holds, 0 to 1."""
    return read_final(inputs.upstream["ema_unet"]).base_share


@contextmanager
def swept_blends(inputs: Inputs) -> "Iterator[Mapping[float, Weights]]":
    """Yield the blend of each weight of the sweep, which one denoiser takes in turn; or none.

    Args:
        inputs: Of a stage that reads ``ema_unet``, uses the whole base and
            :func:`swept_denoisers`, and has the style's
            :class:`~styledag.merging.settings.BlendSettings` as ``blends``.
    """
    from styledag.bases.find import find_base
    from styledag.merging.blend import Blending
    from styledag.merging.sweep import blend_into
    from styledag.sampling.weights import Weights

    blends: BlendSettings = inputs.settings["blends"]
    if not blends.sweep:
        yield {}
        return
    base, tuned = inputs.models["base"], inputs.upstream["ema_unet"]
    denoiser = denoiser_of(base)
    others = {role: inputs.models[role] for role in blends.method.models()}
    loaded: list[Any] = []
    with Blending(
        denoiser,
        [tuned.folder / denoiser.name],
        method=blends.method,
        block_weights=blends.block_weights,
        blocks=find_base(base.folder).blocks,
        others={role: each.folder / denoiser.name for role, each in others.items()},
        device=inputs.compute().device,
    ) as blending:

        def load(weight: float, parts: "FrozenParts") -> Any:
            if not loaded:
                loaded.append(parts.denoiser())
            blend_into(loaded[0], blending, weight)
            return loaded[0]

        yield {
            weight: Weights(
                item_key(
                    code=blend.CODE_VERSION,
                    base=base.version,
                    tuned=tuned.version,
                    others={role: each.version for role, each in others.items()},
                    weight=weight,
                    **blends.identity(weight),
                ),
                partial(load, weight),
            )
            for weight in blends.sweep
        }
