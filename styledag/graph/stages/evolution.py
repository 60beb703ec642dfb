"""How images change over training, one GIF a prompt and seed, the base first."""

from functools import partial

from styledag.graph.checkpoint_unets import denoiser_of, whole_unet
from styledag.graph.drawing import READS_DECODER, WHOLE_BASE, sampler_of, samples_of, tuned_vae
from styledag.graph.names import epoch_key
from styledag.graph.previews import image_of
from styledag.graph.snapshots import read_snapshots
from styledag.graph.stage import Inputs, Reads, Settings, Stage
from styledag.sampling import evolution
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace
from styledag.tensors.values import weights_version


def draw_evolution(inputs: Inputs, workspace: Workspace) -> Facts:
    """Draw every prompt over the snapshots that training left."""
    base, checkpoints = inputs.models["base"], inputs.every("checkpoint")
    denoiser = denoiser_of(base)
    snapshots = []
    for each in read_snapshots(inputs.upstream["ema_unet"]):
        checkpoint = checkpoints[epoch_key(each.epoch)]
        lend = partial(whole_unet, checkpoint, base=denoiser, scratch=workspace.scratch)
        with lend() as folder:
            version = weights_version(folder, known_as=checkpoint.version, items=workspace.items)
        snapshots.append(evolution.SnapshotUnet(each.epoch, version, lend))
    sampler = sampler_of(inputs, workspace, denoiser, known_as=base.version)
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
