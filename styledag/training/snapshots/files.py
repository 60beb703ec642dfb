"""The files of a run's snapshots: written, kept as long as they may be needed, found again."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styledag.store.files import replaced_folder
from styledag.training.disk import write_errors
from styledag.training.optimising.optimisation import Optimisation
from styledag.training.recipe import Recipe
from styledag.training.records import Snapshot, second_average
from styledag.training.snapshots.write import halves, write_halves
from styledag.training.stopping import best_snapshot

_BEST = "best"


class Snapshots:
    """Snapshots below one folder.

    Attributes:
        copied_bytes: What the newest copies of :meth:`copied` take; 0 before the first.
    """

    def __init__(
        self, folder: Path, denoiser: str, optimisation: Optimisation, recipe: Recipe
    ) -> None:
        self._folder = folder
        self._denoiser = denoiser
        self._optimisation = optimisation
        self._recipe = recipe
        self.copied_bytes = 0

    def snapshot(self, figures: Mapping[str, Any]) -> Snapshot:
        """Return a snapshot with the places of its files."""
        folder = self._folder / f"e{figures['epoch']:03d}"
        return Snapshot(
            **{**figures, "validation_bands": tuple(figures["validation_bands"])},
            recipe=self._recipe,
            folder=folder / self._denoiser,
            second=(
                folder / second_average(self._denoiser)
                if self._recipe.ema.mode == "power"
                else None
            ),
            lora=folder / "lora" if self._recipe.lora is not None else None,
        )

    def write(self, snapshot: Snapshot) -> None:
        """Write the averages as they are now, as a snapshot's files."""
        for folder, weights in self._unets(snapshot):
            write_halves(self._optimisation.unet, halves(weights, self._dtype), folder)
        self._write_adapters(snapshot, self._optimisation.ema.averages)

    def copied(self, snapshot: Snapshot) -> Callable[[], None]:
        """Return what writes the same files later, from copies in host memory.

        Raises:
            TrainingError: If a weight is NaN, or too large for float16.
        """
        unets = [
            (folder, halves(weights, self._dtype)) for folder, weights in self._unets(snapshot)
        ]
        averages = {} if snapshot.lora is None else self._optimisation.ema.averages
        adapters = {name: each.detach().to("cpu", copy=True) for name, each in averages.items()}
        copies = [each for _, state_dict in unets for each in state_dict.values()]
        self.copied_bytes = sum(each.nbytes for each in (*copies, *adapters.values()))

        def write() -> None:
            for folder, state_dict in unets:
                write_halves(self._optimisation.unet, state_dict, folder)
            self._write_adapters(snapshot, adapters)

        return write

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self._recipe.snapshot_dtype)
        return dtype

    def _unets(self, snapshot: Snapshot) -> Iterator[tuple[Path, Mapping[str, Tensor]]]:
        """Yield the folder of each UNet of a snapshot, and its weights as they are now."""
        ema = self._optimisation.ema
        yield snapshot.folder, self._optimisation.whole(ema.averages)
        if snapshot.second is not None and ema.second is not None:
            yield snapshot.second, self._optimisation.whole(ema.second)

    def _write_adapters(self, snapshot: Snapshot, averages: Mapping[str, Tensor]) -> None:
        adapters = self._optimisation.adapters
        if snapshot.lora is not None and adapters is not None:
            adapters.write(averages, snapshot.lora, self._denoiser)

    def remove(self, snapshot: Snapshot) -> None:
        """Remove a snapshot's files; the best one's have a second place."""
        shutil.rmtree(snapshot.folder.parent, ignore_errors=True)

    def keep_best(self, snapshot: Snapshot, snapshots: Sequence[Snapshot]) -> None:
        """Keep a snapshot's files until a better one comes, if it is the best so far."""
        if best_snapshot(snapshots) != snapshot:
            return
        kept = self.best(snapshot).folder.parent
        with write_errors(kept), replaced_folder(kept) as partial:
            shutil.copytree(snapshot.folder.parent, partial, dirs_exist_ok=True)

    def prune_best(self, snapshots: Sequence[Snapshot]) -> None:
        """Remove what :meth:`keep_best` kept before, once no state names it any more."""
        best = best_snapshot(snapshots)
        for other in (self._folder / _BEST).glob("e*"):
            if best is None or other != self.best(best).folder.parent:
                shutil.rmtree(other, ignore_errors=True)

    def best(self, snapshot: Snapshot) -> Snapshot:
        """Return the best snapshot with the places of its kept files."""
        kept = self._folder / _BEST / snapshot.folder.parent.name
        return replace(
            snapshot,
            folder=kept / snapshot.folder.name,
            second=None if snapshot.second is None else kept / snapshot.second.name,
            lora=None if snapshot.lora is None else kept / snapshot.lora.name,
        )
