"""Prompts by seeds of one blend, labelled; an image follows from prompt and seed alone."""

from styledag.graph.blending.base import MERGED_PARTS, READS_PARTS, blended_base
from styledag.graph.blends import Blend, amount_of
from styledag.graph.drawing import READS_DECODER, WHOLE_BASE, sampler_of, samples_of, tuned_vae
from styledag.graph.previews import image_of
from styledag.graph.stage import Inputs, Reads, Settings, Stage
from styledag.sampling import grid
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def draw_grid(inputs: Inputs, workspace: Workspace) -> Facts:
    """Draw the prompts by seeds of one blend."""
    from styledag.sampling.grid import draw_sample_grid

    merged, partition = inputs.upstream["merged_unet"], inputs.partition
    blend = Blend.parse(partition.part)
    sampler = sampler_of(
        inputs,
        workspace,
        merged.folder,
        known_as=merged.version,
        vae=tuned_vae(inputs, workspace),
        base=blended_base(inputs.models["base"], inputs.upstream.get(MERGED_PARTS)),
    )
    title = f"{partition.model_key} at {blend.name}"
    facts = draw_sample_grid(sampler, workspace, title=title)
    stated = {"length": blend.length, "mixed": blend.mixed}
    weight = {} if blend.mixed else {"weight": blend.weight}
    return {
        **facts,
        **weight,
        **{name: value for name, value in stated.items() if value is not None},
        "amount": amount_of(merged.folder),
    }


STAGE = Stage(
    name="sample_grid",
    grain="blend",
    description=__doc__,
    group="blends",
    kinds=frozenset({"diffusers", "png"}),
    code_version=grid.CODE_VERSION,
    run=draw_grid,
    settings=lambda declared: Settings(samples_of(declared)),
    reads=(Reads("merged_unet"), READS_PARTS, READS_DECODER),
    uses=(WHOLE_BASE,),
    pool="gpu",
    preview=image_of(grid.GRID),
)
