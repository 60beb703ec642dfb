"""A blend of another length, from the two averages that every checkpoint of a model keeps."""

from collections.abc import Mapping
from contextlib import ExitStack

from styledag.errors import StyleFileError
from styledag.graph.checkpoint_unets import denoiser_of, whole_unet
from styledag.graph.names import epoch_key
from styledag.graph.snapshots import StoredSnapshot, read_final, read_snapshots
from styledag.models.reference import ResolvedModel
from styledag.store.artifact import Artifact, Facts
from styledag.store.workspace import Workspace
from styledag.training.averaging.posthoc import power_lengths, spread_snapshots
from styledag.training.recipe import EmaSettings


def reconstruct_average(
    length: float,
    tuned: Artifact,
    checkpoints: Mapping[str, Artifact],
    base: ResolvedModel,
    workspace: Workspace,
) -> Facts:
    """Reconstruct a model's average of another length.

    Raises:
        StyleFileError: If the model was trained without power-function averages.
        TrainingError: If the stored averages cannot give that length.
        StorageError: If a checkpoint contains no second average.
    """
    from styledag.merging.posthoc import StoredAverage, reconstruct_unet

    lengths = power_lengths(_ema_settings(tuned))
    parents = {"base": base.version, "tuned": tuned.version}
    stored = []
    with ExitStack() as restored:
        for each in _snapshots(tuned):
            epoch = epoch_key(each.epoch)
            parents[f"checkpoint.{epoch}"] = checkpoints[epoch].version
            for second, stored_length in enumerate(lengths):
                whole = whole_unet(
                    checkpoints[epoch],
                    base=denoiser_of(base),
                    scratch=workspace.scratch,
                    second=bool(second),
                )
                folder = restored.enter_context(whole)
                stored.append(StoredAverage(folder=folder, step=each.step, length=stored_length))
        return reconstruct_unet(stored, length, workspace.folder, parents=parents)


def _snapshots(tuned: Artifact) -> list[StoredSnapshot]:
    """Return the snapshots up to the one that became the model, thinned out if they are many."""
    last = read_final(tuned).step
    snapshots = [each for each in read_snapshots(tuned) if each.step <= last]
    return [snapshots[at] for at in spread_snapshots([each.step for each in snapshots])]


def _ema_settings(tuned: Artifact) -> EmaSettings:
    stated = dict(tuned.build.settings["Recipe"]["ema"])
    if stated["lengths"] is not None:
        stated["lengths"] = tuple(stated["lengths"])
    settings = EmaSettings(**stated)
    if settings.mode != "power":
        raise StyleFileError(
            f"{tuned.partition} was trained with ema.mode {settings.mode!r}, which keeps one "
            "average of one length: set its recipe's ema.mode to 'power' and train again, or "
            "remove blends.lengths"
        )
    return settings
