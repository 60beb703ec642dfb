"""Every prompt over more weights between base and fine-tune, drawn without storing their blends.

A blend that is worth keeping is one more of `blends.weights`. A style without `blends.sweep` has
none.
"""

from styledag.graph.blending.swept import SWEEP, has_sweep, swept_blends, swept_denoisers
from styledag.graph.checkpoint_unets import denoiser_of
from styledag.graph.drawing import READS_DECODER, WHOLE_BASE, sampler_of, samples_of, tuned_vae
from styledag.graph.previews import image_of
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage
from styledag.merging import blend
from styledag.sampling import sweep
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def draw_sweep(inputs: Inputs, workspace: Workspace) -> Facts:
    """Draw the prompts at each weight of the sweep."""
    base = inputs.models["base"]
    sampler = sampler_of(inputs, workspace, denoiser_of(base), known_as=base.version)
    vae = tuned_vae(inputs, workspace)
    title = f"{inputs.partition.key} over weights"
    with swept_blends(inputs) as blends:
        return sweep.draw_sweep(sampler, blends, workspace, title=title, vae=vae)


def _settings(declared: Declaration) -> Settings:
    blends = declared.style.blends
    return Settings(samples_of(declared), sweep=blends.sweep, **blends.identity(1.0)).beside(
        blends=blends
    )


STAGE = Stage(
    name=SWEEP,
    grain="model",
    description=__doc__,
    group="blends",
    kinds=frozenset({"diffusers", "png"}),
    code_version=f"{sweep.CODE_VERSION}.{blend.CODE_VERSION}",
    run=draw_sweep,
    is_asked_for=has_sweep,
    settings=_settings,
    reads=(Reads("ema_unet"), READS_DECODER),
    uses=(WHOLE_BASE,),
    further_uses=swept_denoisers,
    pool="gpu",
    preview=image_of(sweep.STRIP),
)
