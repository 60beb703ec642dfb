"""The state that training resumes from after a kill: separate from snapshots, and no pickle."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from styledag.settings import canonical_json
from styledag.store.files import link_tree, replaced, replaced_folder
from styledag.tensors.reader import TensorSpec
from styledag.tensors.writer import in_file_order, write_tensors
from styledag.training.disk import write_errors
from styledag.training.records import StepLog

_TENSORS = "state.safetensors"
_RECORD = "state.json"


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """All that decides the rest of a run.

    Attributes:
        identity: Digest of what decides the run; another run's state is left alone.
        step: Optimiser steps taken.
        log: Those steps.
        snapshots: The figures of all snapshots so far, as JSON values.
        tensors: Weights, averages and the optimiser's moments, under names of the trainer's own.
        handed_over: Whether the newest of the snapshots was received.
    """

    identity: str
    step: int
    log: Sequence[StepLog]
    snapshots: Sequence[Mapping[str, Any]]
    tensors: Mapping[str, Tensor]
    handed_over: bool = True


class TrainingStates:
    """The newest state of a run below one folder; the one before is removed once it is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, state: TrainingState) -> None:
        """Write a state; a killed writer leaves the one before.

        Raises:
            StorageError: If the disk is full or cannot be written.
        """
        final = self._folder / f"step-{state.step:08d}"
        with write_errors(final), replaced_folder(final) as partial:
            _write(state.tensors, partial / _TENSORS)
            record = {
                "identity": state.identity,
                "step": state.step,
                "log": [asdict(each) for each in state.log],
                "snapshots": state.snapshots,
                "handed_over": state.handed_over,
            }
            (partial / _RECORD).write_text(canonical_json(record), encoding="utf-8")
        self._remove_all_but(final)

    def mark_handed_over(self) -> None:
        """Note in the newest state that its newest snapshot was received.

        Raises:
            StorageError: If the disk is full or cannot be written.
        """
        for folder in self._newest_first()[:1]:
            path = folder / _RECORD
            with replaced(path) as partial:
                record = json.loads(path.read_text(encoding="utf-8")) | {"handed_over": True}
                partial.write_text(canonical_json(record), encoding="utf-8")

    def load(self, identity: str) -> TrainingState | None:
        """Return the newest whole state of just this run, or ``None``; tensors are on the CPU."""
        for folder in self._newest_first():
            try:
                record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
                if record["identity"] != identity:
                    continue
                return TrainingState(
                    identity=identity,
                    step=record["step"],
                    log=[StepLog(**each) for each in record["log"]],
                    snapshots=record["snapshots"],
                    tensors=safetensors.torch.load_file(folder / _TENSORS),
                    handed_over=record["handed_over"],
                )
            except (OSError, ValueError, KeyError, TypeError, SafetensorError):
                # Damaged, as by a power cut: the run resumes from an older state or its start.
                continue
        return None

    def is_empty(self) -> bool:
        """Return whether there is no state of any run."""
        return not self._newest_first()

    def copy_to(self, other: "TrainingStates") -> None:
        """Make this folder's newest state the only one of another; without a copy on one disk.

        Raises:
            StorageError: If the disk is full or cannot be written.
        """
        for folder in self._newest_first()[:1]:
            final = other._folder / folder.name
            partial = final.with_name(f"{final.name}.{os.getpid()}.partial")
            with write_errors(final):
                shutil.rmtree(partial, ignore_errors=True)
                link_tree(folder, partial)
                shutil.rmtree(final, ignore_errors=True)
                partial.rename(final)
            other._remove_all_but(final)

    def _newest_first(self) -> list[Path]:
        return sorted(self._folder.glob("step-????????"), reverse=True)

    def _remove_all_but(self, kept: Path) -> None:
        for other in self._folder.iterdir():
            if other != kept:
                shutil.rmtree(other, ignore_errors=True)


def _write(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors, of which two at a time are in host memory and none again on the device.

    ``safetensors`` copies all of them to the host first, and asks for contiguous ones: of weights
    with their channels innermost a device would hold a second copy of everything.
    """
    specs = [TensorSpec(name, each.dtype, tuple(each.shape)) for name, each in tensors.items()]
    write_tensors(
        path,
        in_file_order(specs),
        {},
        lambda spec, _start, _stop: tensors[spec.name].detach().cpu(),
        whole_tensors=True,
    )


def tensors_below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    }
