"""What training goes on from after a kill: separate from the snapshots, and never a pickle."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from styledag.settings import canonical_json
from styledag.training.disk import write_errors
from styledag.training.records import Snapshot, StepLog

_TENSORS = "state.safetensors"
_RECORD = "state.json"
_PLACES = ("folder", "second", "lora")


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """All that decides the rest of a run.

    Attributes:
        identity: Digest of what decides the run; another run's state is left alone.
        step: Optimiser steps taken.
        log: Those steps.
        snapshots: Snapshots that were handed over; a loaded one does not know its files.
        tensors: Weights, averages and AdamW's moments, under names of the trainer's own.
    """

    identity: str
    step: int
    log: Sequence[StepLog]
    snapshots: Sequence[Snapshot]
    tensors: Mapping[str, Tensor]


class TrainingStates:
    """The newest state of a run below one folder; an older one goes once a newer is whole.

    Args:
        folder: Local folder of the states.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, state: TrainingState) -> None:
        """Write a state; a killed writer leaves the one before.

        Raises:
            StorageError: If the disk is full or cannot be written.
        """
        final = self._folder / f"step-{state.step:08d}"
        partial = final.with_suffix(".partial")
        with write_errors(final):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            safetensors.torch.save_file(
                {name: tensor.contiguous() for name, tensor in state.tensors.items()},
                partial / _TENSORS,
            )
            record = {
                "identity": state.identity,
                "step": state.step,
                "log": [asdict(each) for each in state.log],
                "snapshots": [_plain(each) for each in state.snapshots],
            }
            (partial / _RECORD).write_text(canonical_json(record), encoding="utf-8")
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
        for other in self._folder.iterdir():
            if other != final:
                shutil.rmtree(other, ignore_errors=True)

    def load(self, identity: str) -> TrainingState | None:
        """Return the newest whole state of just this run, or ``None``; tensors are on the CPU."""
        for folder in sorted(self._folder.glob("step-????????"), reverse=True):
            try:
                record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
                if record["identity"] != identity:
                    continue
                return TrainingState(
                    identity=identity,
                    step=record["step"],
                    log=[StepLog(**each) for each in record["log"]],
                    snapshots=[_snapshot(each) for each in record["snapshots"]],
                    tensors=safetensors.torch.load_file(folder / _TENSORS),
                )
            except (OSError, ValueError, KeyError, TypeError, SafetensorError):
                # Damaged by a power cut, say: the run goes on from an older state or its start.
                continue
        return None


def tensors_below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    }


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as JSON holds it: without the places of its files, which may move."""
    return {key: value for key, value in asdict(snapshot).items() if key not in _PLACES}


def _snapshot(plain: Mapping[str, Any]) -> Snapshot:
    bands = tuple(plain["validation_bands"])
    return Snapshot(**{**plain, "validation_bands": bands}, folder=Path())
