"""How images change over training, one GIF a prompt and seed, the base first."""

from styledag.graph.checkpoint_unets import denoiser_of, snapshot_unets
from styledag.graph.drawing import READS_DECODER, WHOLE_BASE, sampler_of, samples_of, tuned_vae
from styledag.graph.previews import image_of
from styledag.graph.stage import Inputs, Reads, Settings, Stage
from styledag.sampling import evolution
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def draw_evolution(inputs: Inputs, workspace: Workspace) -> Facts:
    """Draw every prompt over the snapshots that training left."""
    base = inputs.models["base"]
    snapshots = snapshot_unets(inputs, workspace)
    sampler = sampler_of(inputs, workspace, denoiser_of(base), known_as=base.version)
    return evolution.draw_evolution(sampler, snapshots, workspace, vae=tuned_vae(inputs, workspace))


STAGE = Stage(
    name="evolution",
    grain="model",
    description=__doc__,
    group="results",
    kinds=frozenset({"diffusers", "gif"}),
    code_version=evolution.CODE_VERSION,
    run=draw_evolution,
    settings=lambda declared: Settings(samples_of(declared)),
    reads=(Reads("ema_unet"), Reads("checkpoint"), READS_DECODER),
    uses=(WHOLE_BASE,),
    pool="gpu",
    preview=image_of("gifs/*/all.gif"),
)
