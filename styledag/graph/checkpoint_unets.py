"""A checkpoint's UNets: stored whole or as a difference to the base, and always read whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from styledag.bases.find import find_base
from styledag.errors import StorageError
from styledag.graph.names import epoch_key
from styledag.graph.snapshots import read_snapshots
from styledag.models.reference import ResolvedModel
from styledag.store.artifact import Artifact
from styledag.store.files import link_tree
from styledag.training.records import second_average

if TYPE_CHECKING:
    from styledag.graph.stage import Inputs
    from styledag.sampling.weights import Weights
    from styledag.store.workspace import Workspace
    from styledag.tensors.delta import StoredBytes

LORA = "lora"


def denoiser_of(base: ResolvedModel) -> Path:
    """Return the folder of a base's denoiser; models made from it have one of the same name."""
    return base.folder / find_base(base.folder).parts.denoiser


def store_unet(
    unet: Path,
    target: Path,
    *,
    base: Path,
    form: Literal["full", "delta"],
    lora: Path | None = None,
) -> "StoredBytes":
    """Store a UNet that training hands over, and return how many bytes it takes.

    Args:
        unet: Folder in diffusers' layout, float16 or bfloat16.
        target: Folder to make, in a checkpoint's workspace.
        base: Folder of the base's UNet.
        form: As the recipe's ``snapshot_format`` has it.
        lora: Folder of the adapters that were folded into it, which the checkpoint holds too.

    Raises:
        ModelError: If the base is not one that the UNet was trained from.
        StorageError: If the disk is full or cannot be written.
    """
    from styledag.tensors.delta import StoredBytes, write_delta
    from styledag.tensors.layout import WEIGHTS_FILE

    if form == "delta":
        return write_delta(unet, base, target, adapters=_adapters(lora))
    link_tree(unet, target)
    size = (target / WEIGHTS_FILE).stat().st_size
    return StoredBytes(stored=size, full=size)


@contextmanager
def whole_unet(
    checkpoint: Artifact, *, base: Path, scratch: Path, second: bool = False
) -> Iterator[Path]:
    """Yield the folder of a checkpoint's UNet in diffusers' layout, however it is stored.

    A difference to the base is restored below ``scratch``, and removed when the block ends.

    Args:
        checkpoint: A stored checkpoint.
        base: Folder of the base's UNet that it was trained from.
        scratch: Local folder for what has to be restored.
        second: Whether it is the second average that is read.

    Raises:
        ModelError: If the base is another one, or the difference is damaged.
        StorageError: If the checkpoint holds no such UNet, or the disk is full.
    """
    from styledag.tensors.delta import DELTA_FILE, restore_delta

    name = second_average(base.name) if second else base.name
    stored = checkpoint.folder / name
    if not stored.is_dir():
        raise StorageError(f"{checkpoint.location} holds no {name}: materialise its ema_unet again")
    if not (stored / DELTA_FILE).is_file():
        yield stored
        return
    restored = scratch / "restored" / checkpoint.version / name
    try:
        adapters = _adapters(checkpoint.folder / LORA)
        restore_delta(stored, base, restored, adapters=adapters)
        yield restored
    finally:
        shutil.rmtree(restored, ignore_errors=True)


def _adapters(lora: Path | None) -> Path | None:
    from styledag.tensors.layout import DIFFUSERS_LORA_FILE

    return None if lora is None else lora / DIFFUSERS_LORA_FILE


def snapshot_unets(inputs: "Inputs", workspace: "Workspace") -> "dict[int, Weights]":
    """Return the UNets of all checkpoints that training left, by epoch, which rises.

    Args:
        inputs: Of a stage that reads ``ema_unet`` and ``checkpoint`` and uses the base.
        workspace: Remembers the versions of the UNets' values.
    """
    from styledag.sampling.weights import Weights
    from styledag.tensors.values import cached_version, weights_version

    denoiser, checkpoints = denoiser_of(inputs.models["base"]), inputs.every("checkpoint")
    snapshots = {}
    for each in read_snapshots(inputs.upstream["ema_unet"]):
        checkpoint = checkpoints[epoch_key(each.epoch)]
        lend = partial(whole_unet, checkpoint, base=denoiser, scratch=workspace.scratch)
        known_as, items = checkpoint.version, workspace.items
        version = cached_version(denoiser.name, known_as=known_as, items=items)
        if version is None:
            with lend() as folder:
                version = weights_version(folder, known_as=known_as, items=items)
        snapshots[each.epoch] = Weights.lent(version, lend)
    return snapshots
