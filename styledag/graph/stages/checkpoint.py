"""One snapshot of a training, one a kept epoch, with its loss, thumbnails and dataset version.

Published by `ema_unet` while it trains. A check reads the stored files byte by byte.
"""

from functools import partial
from typing import TYPE_CHECKING

from styledag.between_steps import between_steps
from styledag.graph.checkpoint_unets import LORA, store_unet
from styledag.graph.checks import stored_as_published
from styledag.graph.drawing import WHOLE_BASE, sampler_of, samples_of
from styledag.graph.previews import image_of
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage
from styledag.sampling import grid
from styledag.store.artifact import Facts
from styledag.store.files import link_tree
from styledag.store.workspace import Workspace
from styledag.training.identity import CODE_VERSION, snapshot_identity

if TYPE_CHECKING:
    from styledag.training.records import Snapshot

THUMBNAILS = "thumbnails.png"
_THUMBNAIL_PROMPTS = 6


def store_checkpoint(inputs: Inputs, workspace: Workspace) -> Facts:
    """Store one snapshot with thumbnails: the first prompts, one seed each.

    They are decoded with the base's own decoder, whatever the recipe says of it: the model names
    its checkpoints' versions, and must not change, nor be trained again, with its decoder.
    """
    from styledag.sampling.contact_sheet import contact_sheet
    from styledag.sampling.grid import write_samples
    from styledag.sampling.lettering import prompt_labels
    from styledag.sampling.marking import marked_png

    snapshot: Snapshot = inputs.content
    base = inputs.models["base"].folder / snapshot.folder.name
    form = inputs.settings["recipe"].snapshot_format
    store = partial(store_unet, base=base, form=form, lora=snapshot.lora)
    stored = store(snapshot.folder, workspace.folder / base.name)
    if snapshot.second is not None:
        stored += store(snapshot.second, workspace.folder / snapshot.second.name)
    if snapshot.lora is not None:
        link_tree(snapshot.lora, workspace.folder / LORA)
    sampler = sampler_of(inputs, workspace, snapshot.folder, known_as=None)
    settings = sampler.settings
    pairs = [(prompt, settings.seeds[0]) for prompt in settings.prompts[:_THUMBNAIL_PROMPTS]]
    with workspace.progress.task("thumbnails", len(pairs)) as advance:
        # Where no step has activations in the device's memory.
        samples = between_steps(partial(sampler.draw, pairs, workspace, advance))
    write_samples(samples, workspace.folder)
    sheet = contact_sheet(
        [[sample.image for sample in samples]],
        title=f"epoch {snapshot.epoch}",
        row_labels=[f"seed {settings.seeds[0]}"],
        column_labels=prompt_labels([sample.prompt for sample in samples]),
    )
    (workspace.folder / THUMBNAILS).write_bytes(marked_png(sheet))
    read = inputs.upstream["encoded_dataset"].build.inputs
    return {
        "epoch": snapshot.epoch,
        "step": snapshot.step,
        "loss": snapshot.loss,
        "validation_loss": snapshot.validation_loss,
        **{f"validation_band_{at}": loss for at, loss in enumerate(snapshot.validation_bands)},
        "base_share": snapshot.base_share,
        "dataset_version": next(each.version for each in read if each.name == "image_dataset"),
        "weights_version": sampler.weights.version,
        "bytes": stored.stored,
        "bytes_full": stored.full,
    }


def _settings(declared: Declaration) -> Settings:
    return Settings(
        samples_of(declared), Recipe=snapshot_identity(declared.recipe), epoch=declared.epoch
    ).beside(recipe=declared.recipe)


STAGE = Stage(
    name="checkpoint",
    grain="checkpoint",
    description=__doc__,
    group="training",
    kinds=frozenset({"safetensors"}),
    code_version=f"{CODE_VERSION}.{grid.CODE_VERSION}",
    run=store_checkpoint,
    settings=_settings,
    # What training reads, not what it gives: a snapshot is published before the model is done.
    reads=(Reads("encoded_dataset"),),
    uses=(WHOLE_BASE,),
    preview=image_of(THUMBNAILS),
    checks=(stored_as_published,),
)
