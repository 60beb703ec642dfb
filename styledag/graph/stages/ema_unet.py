"""The fine-tuned UNet of a recipe, one a model: the moving average after the last epoch.

While it trains, every snapshot appears as its own partition of `checkpoint`. A run that was killed
resumes where it was.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING

from styledag.graph.checkpoint_unets import LORA
from styledag.graph.checks import average_is_its_own, loss_falls, loss_finite
from styledag.graph.names import epoch_key
from styledag.graph.snapshots import (
    TRAINING_LOG,
    PublishedSnapshots,
    StoredSnapshot,
    read_snapshots,
    write_json,
    write_snapshots,
)
from styledag.graph.stage import Declaration, Inputs, Publishes, Reads, Settings, Stage, uses_base
from styledag.store.artifact import Facts
from styledag.store.files import link_tree
from styledag.store.workspace import Workspace
from styledag.training.identity import CODE_VERSION, training_identity

if TYPE_CHECKING:
    from styledag.training.records import Drawn, Snapshot, TrainingResult


def fine_tune(inputs: Inputs, workspace: Workspace) -> Facts:
    """Train, publish each snapshot while training runs, and keep the last as the model."""
    from styledag.sampling.index import read_samples
    from styledag.training.averaging.ema import ema_decay
    from styledag.training.encoding.dataset import EncodedDataset
    from styledag.training.run_record import LOG_FOLDER, environment
    from styledag.training.states.kept_states import KeptStates
    from styledag.training.train import train_unet

    published = PublishedSnapshots(workspace.scratch)

    def publish(snapshot: "Snapshot") -> "Drawn":
        checkpoint = inputs.publish(epoch_key(snapshot.epoch), snapshot)
        published.add(snapshot.epoch, checkpoint)
        return read_samples(checkpoint.folder)

    recipe, kept = inputs.settings["recipe"], None
    if workspace.kept is not None:
        kept = KeptStates(
            folder=workspace.kept,
            has_snapshot=lambda epoch: inputs.find(epoch_key(epoch)) is not None,
        )
    result = train_unet(
        EncodedDataset.open(inputs.folder("encoded_dataset")),
        inputs.models["base_unet"].folder,
        recipe,
        inputs={
            "base_unet": inputs.models["base_unet"].version,
            "encoded_dataset": inputs.upstream["encoded_dataset"].version,
        },
        compute=inputs.compute(),
        scratch=workspace.scratch,
        on_snapshot=publish,
        kept=kept,
        progress=workspace.progress,
        work=workspace.work,
    )
    final = result.final
    link_tree(final.folder, workspace.folder / final.folder.name)
    if final.lora is not None:
        link_tree(final.lora, workspace.folder / LORA)
    link_tree(workspace.scratch / LOG_FOLDER, workspace.folder / LOG_FOLDER)
    stored = [_stored(snapshot, published, inputs) for snapshot in result.snapshots]
    write_snapshots(stored, final.epoch, workspace.folder)
    write_json(workspace.folder / TRAINING_LOG, [asdict(step) for step in result.log])
    # How much of the average the weights of the last step are.
    newest_share = 1 - ema_decay(recipe.ema, final.step, total_steps=len(result.log))
    return {
        **_facts(result),
        "newest_share": newest_share,
        "environment": environment(inputs.compute()),
    }


def _stored(snapshot: "Snapshot", published: PublishedSnapshots, inputs: Inputs) -> StoredSnapshot:
    """Return a snapshot as this run published it, or the run whose state it continues."""
    earlier = inputs.find(epoch_key(snapshot.epoch))
    if earlier is None:
        partition, version = published.find(snapshot.epoch)
    else:
        partition, version = earlier.partition, earlier.version
    return StoredSnapshot(
        epoch=snapshot.epoch,
        step=snapshot.step,
        loss=snapshot.loss,
        validation_loss=snapshot.validation_loss,
        validation_bands=snapshot.validation_bands,
        base_share=snapshot.base_share,
        partition=partition,
        version=version,
    )


def _facts(result: "TrainingResult") -> Facts:
    final = result.final
    return {
        "epochs": final.epoch,
        "best_epoch": result.best_epoch,
        "stopped_early": result.stopped_early,
        "continued_from_step": result.continued_from_step,
        "began_anew": result.began_anew,
        "steps": final.step,
        "snapshots": len(result.snapshots),
        "loss": final.loss,
        "validation_loss": final.validation_loss,
        "base_share": final.base_share,
        "images_per_s": result.images_per_s,
        "seconds": result.seconds,
    }


def _settings(declared: Declaration) -> Settings:
    identity = training_identity(declared.recipe)
    return Settings(Recipe=identity).beside(recipe=declared.recipe)


STAGE = Stage(
    name="ema_unet",
    grain="model",
    description=__doc__,
    group="training",
    kinds=frozenset({"torch", "diffusers"}),
    code_version=CODE_VERSION,
    run=fine_tune,
    settings=_settings,
    reads=(Reads("encoded_dataset"),),
    uses=(uses_base("base_unet", lambda parts: parts.training),),
    publishes=Publishes("checkpoint", read_snapshots),
    pool="gpu",
    checks=(loss_finite, loss_falls, average_is_its_own),
)
