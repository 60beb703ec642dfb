"""ema_unet and checkpoint: fine-tune a base's UNet, exactly and resumably."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.models.compute import Compute
from styledag.progress import Progress
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.processes import ALONE, Processes
from styledag.training.recipe import Recipe
from styledag.training.records import OnSnapshot, TrainingResult

if TYPE_CHECKING:
    from styledag.training.states.kept_states import KeptStates


def train_unet(
    encoded: EncodedDataset,
    base: Path,
    recipe: Recipe,
    *,
    inputs: Mapping[str, str],
    compute: Compute,
    scratch: Path,
    on_snapshot: OnSnapshot,
    progress: Progress,
    work: Counter[str],
    processes: Processes = ALONE,
    kept: "KeptStates | None" = None,
) -> TrainingResult:
    """Fine-tune the UNet of a base and hand over its averaged weights while training runs.

    A killed run that is started again with the same ``scratch`` resumes from its newest state. A
    finished one that is started with more epochs continues from the state that it left in
    ``kept``, if neither its learning rate nor its average depends on the number of epochs. On one
    machine's CPU both end in the weights of an uninterrupted run, bit for bit.

    Args:
        encoded: Images and captions, encoded by the same base.
        base: Folder of the base in diffusers' layout; its UNet and scheduler are read.
        recipe: What is trained, for how long and with which average.
        inputs: Versions of all that is read, by name; no state that was made from other versions
            is resumed from.
        compute: Device, and dtype of the passes.
        scratch: Folder for states, snapshots and log, of this run alone.
        on_snapshot: Receives each snapshot, and may move its folder away; returns the images that
            it drew of it, if any, for the loggers. After a kill it may receive the newest one
            again, with the same content. On CUDA a thread calls it while the next steps are taken:
            what uses the device goes through :func:`~styledag.between_steps.between_steps`.
        progress: Sees one task of all optimiser steps, with ``loss`` and ``images_per_s``.
        work: Counts ``steps``, the optimiser steps really done.
        processes: Those that train together, each calling this with the same arguments but its
            own device; only the first shows progress, hands over snapshots and writes.
        kept: States of finished runs; without it a run begins with the base.

    Raises:
        DataError: If the training split is empty or lacks what the recipe asks for.
        ModelError: If the base cannot be loaded, or does not fit the encoded dataset.
        TrainingError: If the loss or a gradient is NaN or infinite, memory runs out, or the
            recipe cannot be followed. Snapshots handed over before stay as they are.
        DeviceError: If a CUDA device fails.
        StorageError: If the disk is full or cannot be written.
    """
    from styledag.bases.compiled import room_for_graphs
    from styledag.training.deterministic import deterministic_kernels
    from styledag.training.device_errors import device_errors, lower_settings
    from styledag.training.unet_run import UnetRun

    with (
        device_errors(compute.device, needs_less=lower_settings(recipe)),
        deterministic_kernels(compute),
        room_for_graphs(may_fail=compute.compile is None),
    ):
        run = UnetRun(
            encoded,
            base,
            recipe,
            inputs=inputs,
            compute=compute,
            scratch=scratch,
            kept=kept,
            work=work,
            processes=processes,
        )
        return run.run(on_snapshot, progress)
