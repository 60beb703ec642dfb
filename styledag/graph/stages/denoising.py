"""How images emerge from noise, one GIF a prompt and seed over the denoising steps."""

from styledag.graph.checkpoint_unets import denoiser_of
from styledag.graph.drawing import READS_DECODER, WHOLE_BASE, sampler_of, samples_of, tuned_vae
from styledag.graph.previews import image_of
from styledag.graph.stage import Inputs, Reads, Settings, Stage
from styledag.sampling import denoising
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def draw_denoising(inputs: Inputs, workspace: Workspace) -> Facts:
    """Draw the fine-tune's denoising steps."""
    model = inputs.upstream["ema_unet"]
    vae = tuned_vae(inputs, workspace)
    unet = model.folder / denoiser_of(inputs.models["base"]).name
    sampler = sampler_of(inputs, workspace, unet, known_as=model.version, vae=vae)
    return denoising.draw_denoising(sampler, workspace)


STAGE = Stage(
    name="denoising",
    grain="model",
    description=__doc__,
    group="results",
    kinds=frozenset({"diffusers", "gif"}),
    code_version=denoising.CODE_VERSION,
    run=draw_denoising,
    settings=lambda declared: Settings(samples_of(declared)),
    reads=(Reads("ema_unet"), READS_DECODER),
    uses=(WHOLE_BASE,),
    pool="gpu",
    preview=image_of("gifs/*/*.gif"),
)
