"""ema_unet and checkpoint: fine-tune a base's UNet, exactly and resumably."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from styledag.models.compute import Compute
from styledag.progress import Progress
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.processes import ALONE, Processes
from styledag.training.recipe import Recipe
from styledag.training.records import Snapshot, TrainingResult

CODE_VERSION = "2"


def train_unet(
    encoded: EncodedDataset,
    base: Path,
    recipe: Recipe,
    *,
    compute: Compute,
    scratch: Path,
    on_snapshot: Callable[[Snapshot], None],
    progress: Progress,
    work: Counter[str],
    processes: Processes = ALONE,
) -> TrainingResult:
    """Fine-tune the UNet of a base and hand over its averaged weights while training runs.

    A killed run that is started again with the same ``scratch`` goes on from its newest state,
    and on one machine's CPU ends in the same weights, bit for bit.

    Args:
        encoded: Images and captions, encoded by the same base.
        base: Folder of the base in diffusers' layout; its UNet and scheduler are read.
        recipe: What is trained, for how long and with which average.
        compute: Device and dtype of autocast.
        scratch: Folder for states, snapshots and log, of this run alone.
        on_snapshot: Receives each snapshot, and may move its folder away. After a kill it
            receives a snapshot again that it may have seen, with the same content.
        progress: Sees one task of all optimiser steps, with ``loss`` and ``images_per_s``.
        work: Counts ``steps``, the optimiser steps really done.
        processes: Those that train together, each calling this with the same arguments but its
            own device; only the first shows progress, hands over snapshots and writes.

    Raises:
        DataError: If the training split is empty or lacks what the recipe asks for.
        ModelError: If the base cannot be loaded, or does not fit the encoded dataset.
        TrainingError: If the loss or a gradient is NaN or infinite, memory runs out, or the
            recipe cannot be followed. Snapshots handed over before stay as they are.
        StorageError: If the disk is full or cannot be written.
    """
    from styledag.training.compiled import room_for_graphs
    from styledag.training.determinism import deterministic_kernels
    from styledag.training.memory_errors import memory_errors
    from styledag.training.trainer import Trainer

    with memory_errors(recipe), deterministic_kernels(compute), room_for_graphs():
        trainer = Trainer(
            encoded,
            base,
            recipe,
            compute=compute,
            scratch=scratch,
            work=work,
            processes=processes,
        )
        return trainer.run(on_snapshot, progress)
