"""What is on the disk after a step: a snapshot and the state after it, in one order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from styledag.training.records import Drawn, Snapshot
from styledag.training.snapshots.background import Background, trains_meanwhile
from styledag.training.snapshots.files import Snapshots
from styledag.training.snapshots.host_copies import HostCopies
from styledag.training.states.state import TrainingState, TrainingStates


class Saving:
    """Writes the snapshots and states of one run.

    Args:
        files: Of the snapshots.
        states: Where states go.
        background: Writes them while the next steps are taken, if the device computes meanwhile
            and host memory has room for copies. Elsewhere the training waits for each write.
        device: Of the training.
    """

    def __init__(
        self,
        files: Snapshots,
        states: TrainingStates,
        background: Background,
        *,
        device: torch.device,
    ) -> None:
        self._files = files
        self._states = states
        self._background = background
        self._device = device
        self._copies = HostCopies(device)

    def save_state(self, state: TrainingState) -> None:
        """Write a state. :meth:`Background.finish` must have ended the write before.

        Args:
            state: With the tensors in training.

        Raises:
            StorageError: If the disk is full or cannot be written.
        """
        here = not self._has_room(state, beside=0)
        state = state if here else self._copied(state)
        self._background.start(
            partial(self._states.save, state), lambda: None, lambda _: None, here=here
        )

    def save_snapshot(
        self,
        snapshot: Snapshot,
        state: TrainingState,
        hand_over: Callable[[], Drawn],
        then: Callable[[Drawn], None],
        *,
        best_of: Sequence[Snapshot],
        is_last: bool,
    ) -> None:
        """Write a snapshot's files and then the state, before the snapshot is handed over.

        So what follows a kill has its weights to the bit, where training the epoch again need not
        have them. :meth:`Background.finish` must have ended the write before.

        Args:
            snapshot: Of the averages as they are now.
            state: With the tensors in training.
            hand_over: Hands the snapshot over, once all is written.
            then: Follows, in this thread, with what was drawn of it.
            best_of: Snapshots of which the best one's files are kept; none are if it is empty.
            is_last: Whether no step follows that the writing could go beside.

        Raises:
            TrainingError: If a weight is NaN, or too large for the snapshot's dtype.
            StorageError: If the disk is full or cannot be written.
        """
        write_files: Callable[[], None] = partial(self._files.write, snapshot)
        here = is_last or not self._has_room(state, beside=self._files.copied_bytes)
        if not here:
            write_files = self._files.copied(snapshot)
            # The first copies show what they take.
            here = not self._has_room(state, beside=0)
        state = state if here else self._copied(state)

        def write() -> None:
            write_files()
            self._files.keep_best(snapshot, best_of)
            self._states.save(state)

        self._background.start(write, hand_over, then, here=here)

    def _has_room(self, state: TrainingState, *, beside: int) -> bool:
        """Return whether a state can be copied, and pays to be."""
        return trains_meanwhile(self._device) and self._copies.have_room(
            state.tensors, beside=beside
        )

    def _copied(self, state: TrainingState) -> TrainingState:
        return replace(state, tensors=self._copies.of(state.tensors))
