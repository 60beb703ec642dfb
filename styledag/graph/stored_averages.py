"""A blend of another length, from the two averages that every checkpoint of a model keeps."""

from contextlib import ExitStack

from styledag.errors import StyleFileError
from styledag.graph.blends import Blend
from styledag.graph.checkpoint_unets import UNET, whole_unet
from styledag.graph.names import epoch_key
from styledag.graph.plan import Plan, Planner
from styledag.graph.snapshots import StoredSnapshot, read_snapshots
from styledag.store.artifact import Artifact, Facts
from styledag.store.workspace import Workspace
from styledag.training.averaging.posthoc import power_lengths, spread_snapshots
from styledag.training.recipe import EmaSettings

UNET_SECOND = "unet_second"
"""Folder of the second average in a checkpoint."""
_UNETS = (UNET, UNET_SECOND)


def read_checkpoints(planner: Planner, tuned: Artifact) -> None:
    """Let a plan read the checkpoints that a model's averages are reconstructed from.

    Raises:
        StyleFileError: If the model was trained without power-function averages.
        ArtifactMissingError: If a checkpoint is no longer in the store.
    """
    mode = _ema_settings(tuned).mode
    if mode != "power":
        raise StyleFileError(
            f"{tuned.partition} was trained with ema.mode {mode!r}, which keeps one average of one "
            "length: set its recipe's ema.mode to 'power' and train again, or remove blends.lengths"
        )
    for each in _snapshots(tuned):
        checkpoint = planner.graph.store.by_version("checkpoint", each.partition, each.version)
        planner.take(checkpoint, as_name=_role(each))


def merge_stored(plan: Plan, workspace: Workspace) -> Facts:
    """Reconstruct the average of the length that a plan names.

    Raises:
        TrainingError: If the stored averages cannot give that length.
        StorageError: If a checkpoint holds no second average.
    """
    from styledag.merging.posthoc import StoredAverage, reconstruct_unet

    tuned = plan.upstream["ema_unet"]
    base = plan.models["base_unet"]
    lengths = power_lengths(_ema_settings(tuned))
    parents = {"base": base.version, "tuned": tuned.version}
    stored = []
    with ExitStack() as lent:
        for each in _snapshots(tuned):
            checkpoint = plan.upstream[_role(each)]
            parents[f"checkpoint.{epoch_key(each.epoch)}"] = checkpoint.version
            for name, length in zip(_UNETS, lengths, strict=True):
                whole = whole_unet(
                    checkpoint, base=base.folder / UNET, scratch=workspace.scratch, name=name
                )
                folder = lent.enter_context(whole)
                stored.append(StoredAverage(folder=folder, step=each.step, length=length))
        wanted = Blend.parse(plan.target.settings["length"])
        return reconstruct_unet(stored, wanted.length or 0.0, workspace.folder, parents=parents)


def _snapshots(tuned: Artifact) -> list[StoredSnapshot]:
    """Return the snapshots up to the one that became the model, thinned out if they are many."""
    taken = [each for each in read_snapshots(tuned) if each.step <= tuned.facts["steps"]]
    return [taken[place] for place in spread_snapshots([each.step for each in taken])]


def _ema_settings(tuned: Artifact) -> EmaSettings:
    stated = dict(tuned.build.settings["Recipe"]["ema"])
    if stated["lengths"] is not None:
        stated["lengths"] = tuple(stated["lengths"])
    return EmaSettings(**stated)


def _role(snapshot: StoredSnapshot) -> str:
    return f"checkpoint/{epoch_key(snapshot.epoch)}"
