"""The last states of finished runs, from which runs with more epochs continue."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from styledag.training.identity import length_dependence
from styledag.training.recipe import Recipe
from styledag.training.states.state import TrainingState, TrainingStates


@dataclass(frozen=True, kw_only=True)
class KeptStates:
    """Where finished runs leave their last state.

    Attributes:
        folder: Outlives the runs' scratch folders. Whatever lies in it may be removed at any time
            while nothing trains.
        has_snapshot: Whether the caller still has the snapshot of an epoch, as the recipe that is
            trained now stores it. Only a snapshot of the last step can be written again.
    """

    folder: Path
    has_snapshot: Callable[[int], bool]

    def of(self, run: str) -> TrainingStates:
        """Return the states of all runs that differ in their number of epochs only."""
        return TrainingStates(self.folder / run)


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a run has to have done by any step."""

    recipe: Recipe
    steps_per_epoch: int

    def has_snapshot(self, epoch: int) -> bool:
        """Return whether a snapshot is taken after an epoch, from 1."""
        return epoch == self.recipe.epochs or epoch % self.recipe.snapshot_every_epochs == 0

    @property
    def stops(self) -> bool:
        """Whether the run ends early, with the best snapshot as its model."""
        return self.recipe.stopping is not None and self.recipe.stopping.action == "stop"

    def obstacle(self, state: TrainingState, has_snapshot: Callable[[int], bool]) -> str | None:
        """Return why the run cannot continue from a state, or ``None`` if it can."""
        passed, further = divmod(state.step, self.steps_per_epoch)
        if state.step > self.recipe.epochs * self.steps_per_epoch:
            return f"the kept state is already past epoch {self.recipe.epochs}"
        left = {each["epoch"] for each in state.snapshots}
        for epoch in filter(self.has_snapshot, range(1, passed + 1)):
            if epoch not in left:
                return f"the earlier run left no snapshot of epoch {epoch}"
            can_be_written = epoch == passed and not further
            if not can_be_written and not has_snapshot(epoch):
                return f"the snapshot of epoch {epoch} is not stored any more"
        return None


def continuation(
    kept: KeptStates, course: Course, *, run: str, identity: str
) -> tuple[TrainingState | None, str | None]:
    """Return the state of a finished run to continue from, or why there is none.

    Returns:
        The state, or a sentence; neither, if no such run has finished.
    """
    states = kept.of(run)
    if states.is_empty():
        return None, None
    state = states.load(identity)
    if state is None:
        setting = length_dependence(course.recipe)
        why = f"{setting} depends on the number of epochs" if setting else "its state is damaged"
    elif course.stops:
        why = "with stopping the best snapshot's weights are kept no longer than the run"
    else:
        why = course.obstacle(state, kept.has_snapshot) or ""
    return (state, None) if not why else (None, f"begins anew, because {why}")
